// SPDX-License-Identifier: GPL-2.0

//! Arguments and return values as text and as JSON, by their types.

use serde_json::{json, Map, Value};

use super::errno;
use super::record::{Text, MAX_WORDS};
use super::types::{Kind, Member, Param, Signature, Ty};

/// Bytes of a string that are shown.
const MAX_SHOWN: usize = 64;
/// What the size of a buffer is called.
const SIZES: [&str; 7] = ["count", "len", "length", "size", "n", "nbytes", "buflen"];
/// What a descriptor of a directory is called, and the value that is none.
const DIRECTORIES: [&str; 4] = ["dfd", "dirfd", "olddfd", "newdfd"];
const AT_FDCWD: i64 = libc::AT_FDCWD as i64;
const HEX_NAMES: [&str; 7] = ["flags", "flag", "mask", "addr", "address", "prot", "opf"];
const HEX_TYPES: [&str; 9] = [
    "gfp_t",
    "fmode_t",
    "blk_opf_t",
    "slab_flags_t",
    "vm_flags_t",
    "dma_addr_t",
    "phys_addr_t",
    "resource_size_t",
    "dev_t",
];

/// A value: its type, the words that hold it, and what it points to if that is a string.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    name: &'a str,
    ty: &'a Ty,
    words: &'a [u64],
    text: Option<&'a Text>,
    /// Bytes that it points to, where the call says it.
    limit: Option<usize>,
}

/// The arguments of a call in their order, each with its name. What has no words is left out.
pub fn arguments<'a>(
    signature: &'a Signature,
    words: &'a [u64],
    texts: &'a [Text],
) -> Vec<(&'a str, Shown<'a>)> {
    let mut texts = texts.iter();
    let params: Vec<(usize, &Param)> = signature.first_words().collect();
    let mut shown = Vec::new();
    for (nr, (first, param)) in params.iter().enumerate() {
        let Some(own) = words.get(*first..first + param.ty.words()) else {
            break;
        };
        let has_text = *first < MAX_WORDS && param.ty.text_at().is_some();
        let text = if has_text { texts.next() } else { None };
        let limit = params.get(nr + 1).and_then(|(word, next)| {
            let is_size = SIZES.contains(&next.name.as_str());
            let value = *words.get(*word)?;
            is_size.then(|| usize::try_from(value).unwrap_or(usize::MAX))
        });
        let value = Shown {
            name: &param.name,
            ty: &param.ty,
            words: own,
            text,
            limit,
        };
        shown.push((param.name.as_str(), value));
    }
    shown
}

/// What a call has returned, None of a function that returns nothing.
pub fn returned<'a>(ty: &'a Ty, value: &'a u64, text: Option<&'a Text>) -> Option<Shown<'a>> {
    (ty.kind != Kind::Void).then(|| Shown {
        name: "",
        ty,
        words: std::slice::from_ref(value),
        text,
        limit: None,
    })
}

impl<'a> Shown<'a> {
    /// The type as in a cast.
    pub fn decl(&self) -> &'a str {
        &self.ty.decl
    }
}

impl Shown<'_> {
    pub fn text(&self) -> String {
        let word = self.word();
        match &self.ty.kind {
            Kind::Void => String::new(),
            Kind::Bool => (word & 0xff != 0).to_string(),
            Kind::Int { is_signed } => self.number(*is_signed),
            Kind::Enum { is_signed, names } => {
                let value = self.extended(*is_signed);
                enum_name(value, names).unwrap_or_else(|| self.number(*is_signed))
            }
            Kind::Pointer { .. } => match self.bytes() {
                Some((name, _)) if !name.is_empty() => {
                    format!("{}<{}>", pointer(word), name.escape_ascii())
                }
                _ => pointer(word),
            },
            Kind::Text { .. } => match self.quoted() {
                Some(text) => text,
                None => pointer(word),
            },
            Kind::Struct { members } => {
                let fields: Vec<String> = members
                    .iter()
                    .map(|member| {
                        let value = self.member(member);
                        let text = Shown {
                            words: &value,
                            ..self.of(member)
                        }
                        .text();
                        match member.name.as_str() {
                            "" => text,
                            name => format!("{name}={text}"),
                        }
                    })
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
            Kind::Bytes => {
                let words: Vec<String> =
                    self.words.iter().map(|word| format!("{word:#x}")).collect();
                format!("{{{}}}", words.join(", "))
            }
        }
    }

    /// As [`text()`](Self::text), where a negative number is an error.
    pub fn text_or_error(&self) -> String {
        self.error().unwrap_or_else(|| self.text())
    }

    /// `-ENOENT`
    pub fn error(&self) -> Option<String> {
        match self.ty.kind {
            Kind::Int { is_signed: true } if self.ty.size >= 4 => {
                errno::name(self.extended(true) as i64)
            }
            Kind::Pointer { .. } | Kind::Text { .. } => errno::name(self.word() as i64),
            _ => None,
        }
    }

    /// Numbers as numbers, pointers as strings.
    pub fn json(&self) -> Value {
        match &self.ty.kind {
            Kind::Void => Value::Null,
            Kind::Bool => json!(self.word() & 0xff != 0),
            Kind::Int { is_signed: true } => json!(self.extended(true) as i64),
            Kind::Int { is_signed: false } => json!(self.extended(false)),
            Kind::Enum { is_signed, names } => {
                let value = self.extended(*is_signed);
                match enum_name(value, names) {
                    Some(name) => json!(name),
                    None => json!(value as i64),
                }
            }
            Kind::Pointer { .. } | Kind::Text { .. } => json!(format!("{:#x}", self.word())),
            Kind::Struct { members } => {
                let mut object = Map::new();
                for member in members {
                    let value = self.member(member);
                    let shown = Shown {
                        words: &value,
                        ..self.of(member)
                    };
                    object.insert(member.name.clone(), shown.json());
                }
                Value::Object(object)
            }
            Kind::Bytes => {
                let words: Vec<String> =
                    self.words.iter().map(|word| format!("{word:#x}")).collect();
                json!(words)
            }
        }
    }

    /// The string that it points to, as far as it was read.
    pub fn string(&self) -> Option<String> {
        let (bytes, _) = self.bytes()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    fn word(&self) -> u64 {
        self.words.first().copied().unwrap_or_default()
    }

    /// What is above a small number in its word is undefined.
    fn extended(&self, is_signed: bool) -> u64 {
        extend(self.word(), 8 * self.ty.size, is_signed)
    }

    fn number(&self, is_signed: bool) -> String {
        let value = self.extended(is_signed);
        let decl = self.ty.decl.as_str();
        let name = self.name;
        if decl == "umode_t" || decl == "mode_t" {
            return format!("{value:#o}");
        }
        if DIRECTORIES.contains(&name) && is_signed && value as i64 == AT_FDCWD {
            return "AT_FDCWD".into();
        }
        let is_mask = HEX_TYPES.contains(&decl)
            || HEX_NAMES
                .iter()
                .any(|hex| name == *hex || name.ends_with(&format!("_{hex}")));
        if is_mask {
            // Without the sign, a mask is as wide as its type.
            return format!("{:#x}", self.extended(false));
        }
        if is_signed {
            return (value as i64).to_string();
        }
        // An address, or a negative number that is called unsigned.
        if self.ty.size == 8 && value >> 63 != 0 {
            return format!("{value:#x}");
        }
        value.to_string()
    }

    fn of<'m>(&self, member: &'m Member) -> Shown<'m> {
        Shown {
            name: &member.name,
            ty: &member.ty,
            words: &[],
            text: None,
            limit: None,
        }
    }

    /// The words of a member.
    fn member(&self, member: &Member) -> [u64; 2] {
        let word = |nr: usize| u128::from(self.words.get(nr).copied().unwrap_or_default());
        let all = word(0) | (word(1) << 64);
        let mut value = all.checked_shr(member.offset).unwrap_or_default();
        if let Some(bits) = member.bits {
            value &= u128::MAX
                .checked_shr(128u32.saturating_sub(bits))
                .unwrap_or_default();
            if matches!(member.ty.kind, Kind::Int { is_signed: true }) {
                value = extend(value as u64, bits, true).into();
            }
        }
        [value as u64, (value >> 64) as u64]
    }

    fn bytes(&self) -> Option<(&[u8], bool)> {
        let Some(Text::Read { bytes, is_cut }) = self.text else {
            return None;
        };
        match self.limit {
            Some(limit) if limit < bytes.len() => Some((&bytes[..limit], false)),
            _ => Some((bytes, *is_cut)),
        }
    }

    /// None where a pointer tells more: what is behind a `char *` may not be written yet.
    fn quoted(&self) -> Option<String> {
        let (bytes, mut is_cut) = self.bytes()?;
        let is_const = matches!(self.ty.kind, Kind::Text { is_const: true });
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r');
        if !is_const && (bytes.is_empty() || !bytes.iter().all(is_plain)) {
            return None;
        }
        let shown = match bytes.get(..MAX_SHOWN) {
            Some(first) if bytes.len() > MAX_SHOWN => {
                is_cut = true;
                first
            }
            _ => bytes,
        };
        let dots = if is_cut { "..." } else { "" };
        Some(format!("\"{}\"{dots}", shown.escape_ascii()))
    }
}

fn extend(word: u64, bits: u32, is_signed: bool) -> u64 {
    let unused = 64u32.saturating_sub(bits);
    if unused == 64 {
        return 0;
    }
    match is_signed {
        true => ((word << unused) as i64 >> unused) as u64,
        false => word << unused >> unused,
    }
}

fn pointer(word: u64) -> String {
    match word {
        0 => "NULL".into(),
        _ => errno::name(word as i64).unwrap_or_else(|| format!("{word:#x}")),
    }
}

/// The name of a value, or those of its bits.
fn enum_name(value: u64, names: &[(u64, String)]) -> Option<String> {
    if let Some((_, name)) = names.iter().find(|(named, _)| *named == value) {
        return Some(name.clone());
    }
    let mut rest = value;
    let mut parts = Vec::new();
    for (bit, name) in names.iter().filter(|(named, _)| named.is_power_of_two()) {
        if rest & bit != 0 {
            rest &= !bit;
            parts.push(name.as_str());
        }
    }
    (rest == 0 && !parts.is_empty()).then(|| parts.join("|"))
}

#[cfg(test)]
mod tests;
