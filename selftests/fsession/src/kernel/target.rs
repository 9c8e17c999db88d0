// SPDX-License-Identifier: GPL-2.0

//! What a trampoline is on, by its key or by the name of its image.

use std::collections::BTreeSet;

use anyhow::Result;
use btf_rs::{BtfType, Type};
use trampoline::document::{Hex, Target};

use super::btf::{Btf, Function};
use super::kallsyms::Kallsyms;
use super::progs::Progs;

/// Marks a BTF object in a trampoline's key. Without it, it is a program.
const OF_BTF: u64 = 0x8000_0000;
/// A call of the original function goes behind what ftrace patches, and the `endbr64` before it.
const PATCHED: u64 = 16;

/// A trampoline's key taken apart, as `bpf_trampoline_compute_key()` makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A function of the kernel or of a module.
    Btf { object: u32, type_id: u32 },
    /// A function of a BPF program.
    Program { id: u32, type_id: u32 },
}

impl From<u64> for Key {
    fn from(key: u64) -> Self {
        let id = (key >> 32) as u32;
        let type_id = (key & (OF_BTF - 1)) as u32;
        match key & OF_BTF {
            0 => Self::Program { id, type_id },
            _ => Self::Btf {
                object: id,
                type_id,
            },
        }
    }
}

/// Everything that tells of targets.
pub struct Targets<'a> {
    pub btf: &'a Btf,
    pub kallsyms: &'a Kallsyms,
    pub progs: &'a Progs,
}

impl Targets<'_> {
    /// The target of a trampoline of BPF links. `references` are the addresses in its image.
    pub fn of_key(&self, key: Key, references: &BTreeSet<u64>) -> Option<Target> {
        match key {
            Key::Btf { object, type_id } => {
                let function = self.btf.function(object, type_id).ok()?;
                Some(self.function(&function, references))
            }
            Key::Program { id, type_id } => {
                let prog = self.progs.get(id)?;
                let function = self.btf.function(prog.btf, type_id).ok()?;
                Some(Target {
                    addr: prog.function_entry(type_id).map(Hex),
                    module: None,
                    program: Some(id),
                    prototype: self.btf.prototype(&function).ok(),
                    name: function.name,
                })
            }
        }
    }

    fn function(&self, function: &Function, references: &BTreeSet<u64>) -> Target {
        let module = function.module.as_deref();
        let mut addrs: Vec<u64> = self
            .kallsyms
            .find(&function.name)
            .iter()
            .filter(|symbol| symbol.module == module && symbol.addr != 0)
            .map(|symbol| symbol.addr)
            .collect();
        addrs.dedup();
        if addrs.len() > 1 {
            // The image says which one it is, where it calls it or passes its address on.
            addrs.retain(|addr| references.range(addr..&(addr + PATCHED)).next().is_some());
        }
        Target {
            name: function.name.clone(),
            addr: match addrs.as_slice() {
                [addr] => Some(Hex(*addr)),
                _ => None,
            },
            module: function.module.clone(),
            program: None,
            prototype: self.btf.prototype(function).ok(),
        }
    }

    /// The target of a trampoline of the device: the function of this name, at this address
    /// where it is known.
    pub fn of_name(&self, name: &str, addr: Option<u64>, references: &BTreeSet<u64>) -> Target {
        let module = addr
            .and_then(|addr| self.kallsyms.at(addr))
            .map(|symbol| symbol.module.map(str::to_owned));
        let mut functions = self.btf.find(name).unwrap_or_default();
        functions.retain(|it| module.as_ref().is_none_or(|module| *module == it.module));
        let mut target = match functions.as_slice() {
            [function] => self.function(function, references),
            _ => Target {
                name: name.to_owned(),
                addr: None,
                module: module.flatten(),
                program: None,
                prototype: None,
            },
        };
        target.addr = addr.map(Hex).or(target.addr);
        target
    }

    /// The member of a struct_ops table: `name` is those of the table and of the member, with a
    /// `_` between them. None where that can be read in several ways.
    pub fn of_member(&self, name: &str) -> Option<Target> {
        let mut found = name
            .match_indices('_')
            .filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)))
            .flat_map(|(table, member)| self.members(table, member).unwrap_or_default());
        let target = found.next()?;
        let is_only = found.all(|other| other.name == target.name);
        is_only.then_some(target)
    }

    fn members(&self, table: &str, member: &str) -> Result<Vec<Target>> {
        let mut found = Vec::new();
        for (module, types) in self.btf.all() {
            for id in types.own_ids(table) {
                let Type::Struct(ty) = types.get(id)? else {
                    continue;
                };
                let Some(field) = ty.members.iter().find(|it| types.name(*it) == member) else {
                    continue;
                };
                let Type::Ptr(ptr) = types.plain(field.get_type_id().unwrap_or_default())?.ty
                else {
                    continue;
                };
                let proto = types.plain(ptr.get_type_id().unwrap_or_default())?;
                found.push(Target {
                    name: format!("{table}.{member}"),
                    addr: None,
                    module: module.clone(),
                    program: None,
                    prototype: types.prototype(proto.id).ok(),
                });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::btf::blob::{kind, Blob};
    use super::*;

    const SYMBOLS: &str = "\
ffffffff81000000 T only
ffffffff81001000 t twice
ffffffff81002000 t twice
ffffffffa0000000 t twice\t[other]
";

    fn with_targets(check: impl FnOnce(&Targets<'_>)) {
        let mut blob = Blob::default();
        let int = blob.int("int", 4, true);
        let proto = blob.proto(int, &[("nr", int)]);
        // Types 3, 4 and 5.
        blob.refer(kind::FUNC, "only", proto);
        blob.refer(kind::FUNC, "twice", proto);
        let ptr = blob.refer(kind::PTR, "", proto);
        blob.structure("my_ops", 8, &[("init_all", ptr, 0)]);
        blob.structure("my_ops_init", 8, &[("some", ptr, 0)]);
        check(&Targets {
            btf: &Btf::of(blob.types()),
            kallsyms: &Kallsyms::parse(SYMBOLS.to_owned()),
            progs: &Progs::default(),
        });
    }

    #[test]
    fn functions_are_found_by_key() {
        with_targets(|targets| {
            let of = |type_id| targets.of_key(Key::Btf { object: 1, type_id }, &BTreeSet::new());
            let target = of(3).unwrap();
            assert_eq!(target.declaration(), "int only(int nr)");
            assert_eq!(target.addr, Some(Hex(0xffff_ffff_8100_0000)));
            // No function, no such type.
            assert_eq!(of(1), None);
            assert_eq!(of(99), None);
            let program = Key::Program { id: 5, type_id: 3 };
            assert_eq!(targets.of_key(program, &BTreeSet::new()), None);
        });
    }

    #[test]
    fn the_image_says_which_function_of_a_name_it_is() {
        with_targets(|targets| {
            let key = Key::Btf {
                object: 1,
                type_id: 4,
            };
            let addr = |references: &[u64]| {
                let references = references.iter().copied().collect();
                targets.of_key(key, &references).unwrap().addr
            };
            assert_eq!(addr(&[]), None);
            let second = 0xffff_ffff_8100_2000;
            assert_eq!(addr(&[second + 9]), Some(Hex(second)));
            assert_eq!(addr(&[second + 9, second - 0x1000 + 5]), None);
        });
    }

    #[test]
    fn members_of_tables_are_found_by_name() {
        with_targets(|targets| {
            let target = targets.of_member("my_ops_init_all").unwrap();
            assert_eq!(target.declaration(), "int my_ops.init_all(int nr)");
            assert_eq!(targets.of_member("my_ops_init"), None);
            assert_eq!(targets.of_member(""), None);
        });
    }

    #[test]
    fn keys_are_taken_apart() {
        let key = |key: u64| Key::from(key);
        let function = Key::Btf {
            object: 1,
            type_id: 58123,
        };
        assert_eq!(key(0x1_8000_e30b), function);
        let program = Key::Program { id: 42, type_id: 7 };
        assert_eq!(key(0x2a_0000_0007), program);
    }
}
