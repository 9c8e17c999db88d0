// SPDX-License-Identifier: GPL-2.0

//! The types of arguments and return values, as far as printing takes them.

use anyhow::{Context, Result};
use btf_rs::{BtfType, Type};

use super::record::{FunctionConfig, TextAt};
use super::texts;
use crate::kernel::btf::{Btf, Function, Types};

/// Structures in structures: what is deeper is shown as a number.
const DEEPEST: u32 = 3;

/// What a function takes and returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub params: Vec<Param>,
    pub ret: Ty,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Empty where it has none.
    pub name: String,
    pub ty: Ty,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ty {
    /// As in a cast: `const char *`
    pub decl: String,
    /// In bytes.
    pub size: u32,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Void,
    Bool,
    Int {
        is_signed: bool,
    },
    /// Values, cut to 64 bits, and their names.
    Enum {
        is_signed: bool,
        names: Vec<(u64, String)>,
    },
    Pointer {
        /// Where the name is of what it points to.
        name: Option<TextAt>,
    },
    /// `char *`, and whether it is `const char *`.
    Text {
        is_const: bool,
    },
    Struct {
        members: Vec<Member>,
    },
    /// Unions, and what else has only its bytes to show.
    Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// In bits.
    pub offset: u32,
    /// In bits, of a bit field.
    pub bits: Option<u32>,
    pub ty: Ty,
}

impl Ty {
    /// Words of a program's context.
    pub fn words(&self) -> usize {
        (self.size as usize).div_ceil(8).max(1)
    }

    /// Where its text is, of what has one.
    pub fn text_at(&self) -> Option<TextAt> {
        match self.kind {
            Kind::Text { .. } => Some(TextAt::default()),
            Kind::Pointer { name } => name,
            _ => None,
        }
    }
}

impl Signature {
    pub fn of(btf: &Btf, function: &Function) -> Result<Self> {
        let types = btf.types(function.object)?;
        Self::read(&types, function.type_id)
            .with_context(|| format!("BTF of {} cannot be read", function.name))
    }

    fn read(types: &Types, func: u32) -> Result<Self> {
        let Type::Func(func) = types.get(func)? else {
            anyhow::bail!("type {func} is no function");
        };
        let proto = func.get_type_id().context("a function of no type")?;
        let Type::FuncProto(proto) = types.get(proto)? else {
            anyhow::bail!("type {proto} is no prototype");
        };
        let mut params = Vec::new();
        for parameter in proto.parameters.iter().filter(|param| !param.is_variadic()) {
            params.push(Param {
                name: types.name(parameter),
                ty: read_type(types, parameter.get_type_id().unwrap_or_default(), 0)?,
            });
        }
        Ok(Self {
            params,
            ret: read_type(types, proto.return_type_id(), 0)?,
        })
    }

    /// The first word of each argument.
    pub fn first_words(&self) -> impl Iterator<Item = (usize, &Param)> {
        let mut word = 0;
        self.params.iter().map(move |param| {
            let first = word;
            word += param.ty.words();
            (first, param)
        })
    }

    /// What the BPF program has to know.
    pub fn config(&self) -> FunctionConfig {
        let mut config = FunctionConfig {
            returns_text: self.ret.text_at().is_some().into(),
            ret: self.ret.text_at().unwrap_or_default(),
            ..FunctionConfig::default()
        };
        for (word, param) in self.first_words() {
            if let (Some(slot), Some(at)) = (config.at.get_mut(word), param.ty.text_at()) {
                *slot = at;
                config.texts |= 1 << word;
            }
        }
        config.nr_texts = config.texts.count_ones();
        config
    }
}

fn read_type(types: &Types, id: u32, depth: u32) -> Result<Ty> {
    let kind = match types.plain(id)?.ty {
        Type::Void => Kind::Void,
        Type::Int(int) if int.is_bool() || types.name(&int) == "_Bool" => Kind::Bool,
        Type::Int(int) => Kind::Int {
            is_signed: int.is_signed(),
        },
        Type::Enum(ty) => Kind::Enum {
            is_signed: ty.is_signed(),
            names: ty
                .members
                .iter()
                .map(|member| {
                    let value = match ty.is_signed() {
                        true => i64::from(member.val() as i32) as u64,
                        false => member.val().into(),
                    };
                    (value, types.name(member))
                })
                .collect(),
        },
        Type::Enum64(ty) => Kind::Enum {
            is_signed: ty.is_signed(),
            names: ty
                .members
                .iter()
                .map(|member| (member.val(), types.name(member)))
                .collect(),
        },
        Type::Ptr(ptr) => pointer(types, ptr.get_type_id().unwrap_or_default())?,
        Type::Struct(ty) if depth < DEEPEST && ty.size() <= 16 => Kind::Struct {
            members: ty
                .members
                .iter()
                .map(|member| {
                    Ok(Member {
                        name: types.name(member),
                        offset: member.bit_offset(),
                        bits: member.bitfield_size().filter(|bits| *bits != 0),
                        ty: read_type(types, member.get_type_id().unwrap_or_default(), depth + 1)?,
                    })
                })
                .collect::<Result<_>>()?,
        },
        _ => Kind::Bytes,
    };
    Ok(Ty {
        decl: types.declare(id, "")?,
        size: types.size(id)?,
        kind,
    })
}

fn pointer(types: &Types, to: u32) -> Result<Kind> {
    // A `u8 *` is no text.
    let is_const = matches!(types.get(to)?, Type::Const(_));
    let is_char = match types.plain(to)?.ty {
        Type::Int(int) => types.name(&int) == "char",
        _ => false,
    };
    Ok(match is_char {
        true => Kind::Text { is_const },
        false => Kind::Pointer {
            name: texts::of(types, to),
        },
    })
}

#[cfg(test)]
pub(super) mod examples {
    use super::*;

    pub fn ty(decl: &str, size: u32, kind: Kind) -> Ty {
        Ty {
            decl: decl.into(),
            size,
            kind,
        }
    }

    pub fn int(decl: &str, size: u32, is_signed: bool) -> Ty {
        ty(decl, size, Kind::Int { is_signed })
    }

    pub fn pointer(decl: &str) -> Ty {
        ty(decl, 8, Kind::Pointer { name: None })
    }

    pub fn text(is_const: bool) -> Ty {
        let decl = if is_const { "const char *" } else { "char *" };
        ty(decl, 8, Kind::Text { is_const })
    }

    pub fn param(name: &str, ty: Ty) -> Param {
        Param {
            name: name.into(),
            ty,
        }
    }

    /// `vfs_write()`
    pub fn write() -> Signature {
        Signature {
            params: vec![
                param("file", pointer("struct file *")),
                param("buf", text(true)),
                param("count", int("size_t", 8, false)),
                param("pos", pointer("loff_t *")),
            ],
            ret: int("ssize_t", 8, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::examples::*;
    use super::*;
    use crate::kernel::btf::blob::{kind, Blob};

    #[test]
    fn wide_arguments_take_two_words() {
        let wide = || ty("struct bio_vec", 16, Kind::Bytes);
        let signature = Signature {
            params: vec![
                param("a", wide()),
                param("b", text(true)),
                param("c", int("u8", 1, false)),
                param("d", text(false)),
            ],
            ret: text(false),
        };
        let words: Vec<usize> = signature.first_words().map(|(word, _)| word).collect();
        assert_eq!(words, [0, 2, 3, 4]);
        let config = signature.config();
        assert_eq!(
            (config.texts, config.nr_texts, config.returns_text),
            (0b10100, 2, 1)
        );
    }

    #[test]
    fn types_are_read_from_btf() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4, true);
        let char = blob.int("char", 1, true);
        let byte = blob.int("unsigned char", 1, false);
        let letters = blob.refer(kind::CONST, "", char);
        let to_letters = blob.refer(kind::PTR, "", letters);
        let to_byte = blob.refer(kind::PTR, "", byte);
        let state = blob.values("state", &[("GONE", -1), ("HERE", 1)]);
        let id = blob.members(kind::STRUCT, "", 4, &[("val", int, 0)]);
        let kuid = blob.refer(kind::TYPEDEF, "kuid_t", id);
        let large = blob.members(kind::STRUCT, "large", 24, &[("val", int, 0)]);
        let args = [
            ("name", to_letters),
            ("data", to_byte),
            ("state", state),
            ("id", kuid),
            ("x", large),
        ];
        let proto = blob.proto(0, &args);
        let func = blob.refer(kind::FUNC, "work", proto);
        let signature = Signature::read(&blob.types(), func).unwrap();

        let kinds: Vec<&Kind> = signature
            .params
            .iter()
            .map(|param| &param.ty.kind)
            .collect();
        assert_eq!(*kinds[0], Kind::Text { is_const: true });
        assert_eq!(*kinds[1], Kind::Pointer { name: None });
        let names = vec![(u64::MAX, "GONE".into()), (1, "HERE".into())];
        let is_signed = true;
        assert_eq!(*kinds[2], Kind::Enum { is_signed, names });
        assert!(matches!(kinds[3], Kind::Struct { members } if members[0].name == "val"));
        assert_eq!(*kinds[4], Kind::Bytes);
        assert_eq!(signature.params[3].ty.decl, "kuid_t");
        assert_eq!(signature.ret.kind, Kind::Void);
    }

    #[test]
    fn pointers_have_texts_by_a_way() {
        let way = TextAt {
            nr_steps: 2,
            steps: [72, 40, 0],
            last: 0,
        };
        let mut signature = write();
        signature.params[0].ty.kind = Kind::Pointer { name: Some(way) };
        let config = signature.config();
        assert_eq!(
            (config.texts, config.nr_texts, config.returns_text),
            (0b11, 2, 0)
        );
        assert_eq!((config.at[0], config.at[1]), (way, TextAt::default()));
    }
}
