// SPDX-License-Identifier: GPL-2.0

//! BTF for unit tests, type by type.

/// `BTF_KIND_*`
pub mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const TYPEDEF: u32 = 8;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const TYPE_TAG: u32 = 18;
}

const KIND_FLAG: u32 = 1 << 31;
const SIGNED: u32 = 1 << 24;

#[derive(Default)]
pub struct Blob {
    types: Vec<u32>,
    count: u32,
    strings: Vec<u8>,
}

impl Blob {
    /// The offset of a string. Offset 0 is the empty one.
    fn string(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        offset
    }

    fn add(&mut self, name: &str, info: u32, size_or_type: u32, rest: &[u32]) -> u32 {
        let name = self.string(name);
        self.types.extend([name, info, size_or_type]);
        self.types.extend(rest);
        self.count += 1;
        self.count
    }

    pub fn int(&mut self, name: &str, size: u32, is_signed: bool) -> u32 {
        let sign = if is_signed { SIGNED } else { 0 };
        self.add(name, kind::INT << 24, size, &[sign | (size * 8)])
    }

    /// A kind that only refers to another type.
    pub fn refer(&mut self, kind: u32, name: &str, to: u32) -> u32 {
        self.add(name, kind << 24, to, &[])
    }

    pub fn array(&mut self, of: u32, len: u32) -> u32 {
        self.add("", kind::ARRAY << 24, 0, &[of, of, len])
    }

    /// A structure or union without members.
    pub fn composite(&mut self, kind: u32, name: &str, size: u32) -> u32 {
        self.add(name, kind << 24, size, &[])
    }

    /// Members by name, type and offset in bytes.
    pub fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let count = members.len() as u32;
        let members: Vec<u32> = members
            .iter()
            .flat_map(|(name, ty, offset)| [self.string(name), *ty, offset * 8])
            .collect();
        self.add(name, (kind::STRUCT << 24) | count, size, &members)
    }

    /// A structure or union of members: name, type, offset in bits.
    pub fn members(
        &mut self,
        kind: u32,
        name: &str,
        size: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let words: Vec<u32> = members
            .iter()
            .flat_map(|(name, ty, offset)| [self.string(name), *ty, *offset])
            .collect();
        let info = (kind << 24) | members.len() as u32;
        self.add(name, info, size, &words)
    }

    /// An enumeration of 4 bytes with values.
    pub fn values(&mut self, name: &str, values: &[(&str, i32)]) -> u32 {
        let words: Vec<u32> = values
            .iter()
            .flat_map(|(name, value)| [self.string(name), *value as u32])
            .collect();
        let info = KIND_FLAG | (kind::ENUM << 24) | values.len() as u32;
        self.add(name, info, 4, &words)
    }

    pub fn enumeration(&mut self, name: &str, size: u32, is_signed: bool) -> u32 {
        let sign = if is_signed { KIND_FLAG } else { 0 };
        self.add(name, (kind::ENUM << 24) | sign, size, &[])
    }

    pub fn proto(&mut self, ret: u32, args: &[(&str, u32)]) -> u32 {
        let args: Vec<u32> = args
            .iter()
            .flat_map(|(name, ty)| [self.string(name), *ty])
            .collect();
        let count = args.len() as u32 / 2;
        self.add("", (kind::FUNC_PROTO << 24) | count, ret, &args)
    }

    /// What is read of it.
    pub fn types(self) -> super::Types {
        super::Types::new(btf_rs::Btf::from_bytes(&self.bytes()).unwrap())
    }

    /// `struct btf_header` and both sections.
    fn bytes(mut self) -> Vec<u8> {
        self.string("");
        let types: Vec<u8> = self
            .types
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let header = [
            0x0001_eb9f,
            24,
            0,
            types.len() as u32,
            types.len() as u32,
            self.strings.len() as u32,
        ];
        let mut bytes: Vec<u8> = header
            .iter()
            .flat_map(|word: &u32| word.to_le_bytes())
            .collect();
        bytes.extend(types);
        bytes.extend(self.strings);
        bytes
    }
}
