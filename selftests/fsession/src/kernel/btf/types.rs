// SPDX-License-Identifier: GPL-2.0

//! The types of one BTF object, and how C declares them.

use std::rc::Rc;

use anyhow::{bail, ensure, Context, Result};
use btf_rs::{BtfType, Type};
use trampoline::document::{Arg, Prototype, Ret};

/// Types refer to types. More steps than this is a loop, which the kernel would not have taken.
const DEEPEST: u32 = 64;

/// The types of the kernel, of a module (which can refer to those of the kernel), or of a BPF
/// program.
#[derive(Clone)]
pub struct Types(Rc<btf_rs::Btf>);

/// A type without its `const`, `volatile`, `restrict`, `typedef` and tags.
pub struct Plain {
    pub id: u32,
    pub ty: Type,
}

impl Types {
    pub(super) fn new(btf: btf_rs::Btf) -> Self {
        Self(Rc::new(btf))
    }

    /// For everything that this does not do.
    pub fn raw(&self) -> &btf_rs::Btf {
        &self.0
    }

    pub fn get(&self, id: u32) -> Result<Type> {
        self.0
            .resolve_type_by_id(id)
            .with_context(|| format!("BTF has no type {id}"))
    }

    /// The types of this name that are in this object itself: a module's own, without those of
    /// the kernel.
    pub fn own_ids(&self, name: &str) -> Vec<u32> {
        let first = self.0.split().map_or(0, |own| own.type_id_range().0);
        let mut ids = self.0.resolve_ids_by_name(name).unwrap_or_default();
        ids.retain(|id| *id >= first);
        ids
    }

    /// Empty for what has none.
    pub fn name(&self, of: &dyn BtfType) -> String {
        match of.get_name_offset() {
            Some(_) => self.0.resolve_name(of).unwrap_or_default(),
            None => String::new(),
        }
    }

    /// What is behind typedefs and qualifiers.
    pub fn plain(&self, id: u32) -> Result<Plain> {
        self.strip(id, true)
    }

    fn strip(&self, mut id: u32, typedefs: bool) -> Result<Plain> {
        for _ in 0..DEEPEST {
            let ty = self.get(id)?;
            let next = match &ty {
                Type::Const(to) | Type::Volatile(to) | Type::Restrict(to) => to.get_type_id(),
                Type::TypeTag(to) => to.get_type_id(),
                Type::Typedef(to) if typedefs => to.get_type_id(),
                _ => return Ok(Plain { id, ty }),
            };
            id = next.with_context(|| format!("BTF type {id} refers to none"))?;
        }
        bail!("BTF type {id} refers to itself");
    }

    /// In bytes: 0 for `void`, functions, and what is declared only.
    pub fn size(&self, id: u32) -> Result<u32> {
        self.size_at(id, 0)
    }

    fn size_at(&self, id: u32, depth: u32) -> Result<u32> {
        ensure!(depth < DEEPEST, "BTF type {id} refers to itself");
        let size = match self.plain(id)?.ty {
            Type::Int(ty) => ty.size(),
            Type::Ptr(_) => 8,
            Type::Struct(ty) | Type::Union(ty) => ty.size(),
            Type::Enum(ty) => ty.size(),
            Type::Enum64(ty) => ty.size(),
            Type::Float(ty) => ty.size(),
            Type::Array(ty) => {
                let element = ty.get_type_id().context("an array of nothing")?;
                ty.len() * self.size_at(element, depth + 1)? as usize
            }
            _ => 0,
        };
        Ok(u32::try_from(size)?)
    }

    /// Whether it is a number with a sign.
    pub fn is_signed(&self, id: u32) -> Result<bool> {
        Ok(match self.plain(id)?.ty {
            Type::Int(ty) => ty.is_signed(),
            Type::Enum(ty) => ty.is_signed(),
            Type::Enum64(ty) => ty.is_signed(),
            Type::Float(_) => true,
            _ => false,
        })
    }

    /// The arguments and the return value of a function (`BTF_KIND_FUNC`), or of a prototype.
    pub fn prototype(&self, id: u32) -> Result<Prototype> {
        let proto = match self.get(id)? {
            Type::Func(func) => self.get(func.get_type_id().context("a function of no type")?)?,
            other => other,
        };
        let Type::FuncProto(proto) = proto else {
            bail!("BTF type {id} is no function");
        };
        let args = proto.parameters.iter().map(|parameter| {
            let name = self.name(parameter);
            let id = parameter.get_type_id().unwrap_or_default();
            if parameter.is_variadic() {
                return Ok(Arg {
                    name,
                    decl: "...".into(),
                    size: 0,
                    is_signed: false,
                    is_struct: false,
                });
            }
            Ok(Arg {
                decl: self.declare(id, &name)?,
                name,
                size: self.size(id)?,
                is_signed: self.is_signed(id)?,
                is_struct: matches!(self.plain(id)?.ty, Type::Struct(_) | Type::Union(_)),
            })
        });
        let ret = proto.return_type_id();
        Ok(Prototype {
            args: args.collect::<Result<_>>()?,
            ret: Ret {
                decl: self.declare(ret, "")?,
                size: self.size(ret)?,
                is_signed: self.is_signed(ret)?,
            },
        })
    }

    /// As C declares something of this type: `const char *name`, `int (*fn)(void *)`. Without a
    /// name, what stands in a cast.
    pub fn declare(&self, id: u32, name: &str) -> Result<String> {
        self.declare_at(id, name, 0)
    }

    /// C declares from the inside out: `inner` is what stands around the name so far.
    fn declare_at(&self, id: u32, inner: &str, depth: u32) -> Result<String> {
        ensure!(depth < DEEPEST, "BTF type {id} refers to itself");
        let ty = self.get(id)?;
        let of = |ty: &dyn BtfType| ty.get_type_id().context("a type of nothing");
        let named = |word: &str, ty: &dyn BtfType| match self.name(ty).as_str() {
            "" => format!("{word} {{...}}"),
            name => format!("{word} {name}"),
        };
        let base = match &ty {
            Type::Ptr(ptr) => {
                let to = of(ptr)?;
                let inner = match self.strip(to, false)?.ty {
                    Type::Array(_) | Type::FuncProto(_) => format!("(*{inner})"),
                    _ => format!("*{inner}"),
                };
                return self.declare_at(to, &inner, depth + 1);
            }
            Type::Array(array) => {
                let inner = match array.len() {
                    0 => format!("{inner}[]"),
                    len => format!("{inner}[{len}]"),
                };
                return self.declare_at(of(array)?, &inner, depth + 1);
            }
            Type::FuncProto(proto) => {
                let mut args = Vec::new();
                for parameter in &proto.parameters {
                    args.push(if parameter.is_variadic() {
                        "...".to_owned()
                    } else {
                        self.declare_at(of(parameter)?, &self.name(parameter), depth + 1)?
                    });
                }
                if args.is_empty() {
                    args.push("void".to_owned());
                }
                let inner = format!("{inner}({})", args.join(", "));
                return self.declare_at(proto.return_type_id(), &inner, depth + 1);
            }
            Type::Const(to) => return self.qualify("const", of(to)?, inner, depth),
            Type::Volatile(to) => return self.qualify("volatile", of(to)?, inner, depth),
            Type::Restrict(to) => return self.qualify("restrict", of(to)?, inner, depth),
            Type::TypeTag(to) => return self.declare_at(of(to)?, inner, depth + 1),
            Type::Void => "void".to_owned(),
            Type::Struct(ty) => named("struct", ty),
            Type::Union(ty) => named("union", ty),
            Type::Enum(ty) => named("enum", ty),
            Type::Enum64(ty) => named("enum", ty),
            Type::Fwd(ty) if ty.is_union() => named("union", ty),
            Type::Fwd(ty) => named("struct", ty),
            Type::Int(ty) => self.name(ty),
            Type::Float(ty) => self.name(ty),
            Type::Typedef(ty) => self.name(ty),
            _ => bail!("BTF type {id} is none that C declares"),
        };
        Ok(match inner.chars().next() {
            None => base,
            // A flexible array without a name, or a function type without one.
            Some('[' | '(') if !inner.starts_with("(*") => format!("{base}{inner}"),
            Some(_) => format!("{base} {inner}"),
        })
    }

    /// `const` stands behind the `*` of what it makes constant, or before everything.
    fn qualify(&self, word: &str, to: u32, inner: &str, depth: u32) -> Result<String> {
        if !matches!(self.strip(to, false)?.ty, Type::Ptr(_)) {
            let rest = self.declare_at(to, inner, depth + 1)?;
            return Ok(format!("{word} {rest}"));
        }
        let inner = match inner {
            "" => word.to_owned(),
            _ => format!("{word} {inner}"),
        };
        self.declare_at(to, &inner, depth + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::blob::{kind, Blob};

    #[test]
    fn declarations_are_those_of_c() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4, true);
        let char = blob.int("char", 1, true);
        let int_ptr = blob.refer(kind::PTR, "", int);
        let const_char = blob.refer(kind::CONST, "", char);
        let text = blob.refer(kind::PTR, "", const_char);
        let const_text = blob.refer(kind::CONST, "", text);
        let texts = blob.refer(kind::PTR, "", const_text);
        let restricted = blob.refer(kind::RESTRICT, "", int_ptr);
        let ints = blob.array(int, 3);
        let ints_ptr = blob.refer(kind::PTR, "", ints);
        let file = blob.composite(kind::STRUCT, "file", 232);
        let file_ptr = blob.refer(kind::PTR, "", file);
        let void_ptr = blob.refer(kind::PTR, "", 0);
        let callback = blob.proto(int, &[("", void_ptr), ("mode", int)]);
        let callback_ptr = blob.refer(kind::PTR, "", callback);
        let nothing = blob.proto(0, &[]);
        let nothing_ptr = blob.refer(kind::PTR, "", nothing);
        let callbacks = blob.array(nothing_ptr, 2);
        let getter = blob.proto(callback_ptr, &[]);
        let getter_ptr = blob.refer(kind::PTR, "", getter);
        let loff = blob.refer(kind::TYPEDEF, "loff_t", int);
        let colour = blob.enumeration("colour", 4, false);
        let anonymous = blob.composite(kind::UNION, "", 8);
        let user = blob.refer(kind::TYPE_TAG, "user", char);
        let user_ptr = blob.refer(kind::PTR, "", user);
        let printf = blob.proto(int, &[("fmt", text), ("", 0)]);
        let printf_ptr = blob.refer(kind::PTR, "", printf);
        let types = blob.types();

        for (id, with_name, without) in [
            (int, "int x", "int"),
            (text, "const char *x", "const char *"),
            (const_text, "const char *const x", "const char *const"),
            (texts, "const char *const *x", "const char *const *"),
            (restricted, "int *restrict x", "int *restrict"),
            (ints, "int x[3]", "int[3]"),
            (ints_ptr, "int (*x)[3]", "int (*)[3]"),
            (file_ptr, "struct file *x", "struct file *"),
            (void_ptr, "void *x", "void *"),
            (
                callback_ptr,
                "int (*x)(void *, int mode)",
                "int (*)(void *, int mode)",
            ),
            (callbacks, "void (*x[2])(void)", "void (*[2])(void)"),
            (
                getter_ptr,
                "int (*(*x)(void))(void *, int mode)",
                "int (*(*)(void))(void *, int mode)",
            ),
            (loff, "loff_t x", "loff_t"),
            (colour, "enum colour x", "enum colour"),
            (anonymous, "union {...} x", "union {...}"),
            (user_ptr, "char *x", "char *"),
            (
                printf_ptr,
                "int (*x)(const char *fmt, ...)",
                "int (*)(const char *fmt, ...)",
            ),
        ] {
            assert_eq!(types.declare(id, "x").unwrap(), with_name);
            assert_eq!(types.declare(id, "").unwrap(), without);
        }
    }

    #[test]
    fn prototypes_have_sizes_and_signs() {
        let mut blob = Blob::default();
        let wide = blob.int("__int128", 16, true);
        let bool = blob.int("_Bool", 1, false);
        let alias = blob.refer(kind::TYPEDEF, "bool", bool);
        let pair = blob.composite(kind::STRUCT, "pair", 16);
        let pair_alias = blob.refer(kind::TYPEDEF, "pair_t", pair);
        let state = blob.enumeration("state", 4, true);
        let void_ptr = blob.refer(kind::PTR, "", 0);
        let args = [
            ("wide", wide),
            ("yes", alias),
            ("pair", pair_alias),
            ("state", state),
            ("", void_ptr),
        ];
        let proto = blob.proto(0, &args);
        let func = blob.refer(kind::FUNC, "work", proto);
        let printf = blob.proto(state, &[("", 0)]);
        let types = blob.types();

        let work = types.prototype(func).unwrap();
        let seen: Vec<_> = work
            .args
            .iter()
            .map(|arg| {
                let what = (arg.size, arg.is_signed, arg.is_struct);
                (arg.name.as_str(), arg.decl.as_str(), what)
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("wide", "__int128 wide", (16, true, false)),
                ("yes", "bool yes", (1, false, false)),
                ("pair", "pair_t pair", (16, false, true)),
                ("state", "enum state state", (4, true, false)),
                ("", "void *", (8, false, false)),
            ]
        );
        assert_eq!((work.ret.decl.as_str(), work.ret.size), ("void", 0));

        let printf = types.prototype(printf).unwrap();
        assert_eq!(printf.args[0].decl, "...");
        assert_eq!((printf.ret.size, printf.ret.is_signed), (4, true));
        assert!(types.prototype(wide).is_err());
        assert!(types.prototype(1000).is_err());
    }

    #[test]
    fn loops_are_errors() {
        let mut blob = Blob::default();
        blob.refer(kind::TYPEDEF, "chicken", 2);
        blob.refer(kind::TYPEDEF, "egg", 1);
        blob.refer(kind::PTR, "", 3);
        blob.array(4, 1);
        let types = blob.types();
        assert!(types.size(1).is_err());
        assert!(types.declare(3, "x").is_err());
        assert!(types.size(4).is_err());
    }
}
