// SPDX-License-Identifier: GPL-2.0

//! BTF: the functions and types of the kernel, of its modules, and of BPF programs.

#[cfg(test)]
pub mod blob;
mod types;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::{anyhow, bail, Context, Result};
use btf_rs::{Backend, Type};
use trampoline::document::Prototype;

use super::objects::{self, BtfObject};

pub use types::Types;

const DIR: &str = "/sys/kernel/btf";
const VMLINUX: &str = "vmlinux";

/// All BTF of the running kernel. That of modules is read when it is asked for.
pub struct Btf {
    vmlinux: Types,
    /// Those that the kernel has numbers for.
    objects: Vec<BtfObject>,
    /// What has been read, by the object's number.
    others: RefCell<BTreeMap<u32, Types>>,
}

/// A function that BTF has a prototype for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    pub name: String,
    /// The kernel's number of the BTF object that has it.
    pub object: u32,
    /// Its type there (`BTF_KIND_FUNC`).
    pub type_id: u32,
    /// The module that has it, none for the kernel itself (and for BPF programs).
    pub module: Option<String>,
}

impl Btf {
    /// Reads the kernel's types. That is some megabytes, and takes part of a second.
    ///
    /// # Errors
    ///
    /// The kernel has no BTF, it is of a kind that is not known here, or the caller may not ask
    /// for the numbers of BTF objects.
    pub fn load() -> Result<Self> {
        let path = Path::new(DIR).join(VMLINUX);
        // Not every kernel allows to map it.
        let vmlinux = match btf_rs::Btf::from_file_with_backend(&path, Backend::Mmap) {
            Ok(btf) => btf,
            Err(_) => btf_rs::Btf::from_file(&path).map_err(|err| match err {
                btf_rs::Error::IO(err) if err.kind() == io::ErrorKind::NotFound => anyhow!(
                    "this kernel has no BTF ({} is missing): it takes one built with \
                     CONFIG_DEBUG_INFO_BTF=y",
                    path.display()
                ),
                err => anyhow!(err).context(format!("cannot read {}", path.display())),
            })?,
        };
        Ok(Self {
            vmlinux: Types::new(vmlinux),
            objects: objects::btf_objects()?,
            others: RefCell::default(),
        })
    }

    fn object(&self, id: u32) -> Option<&BtfObject> {
        self.objects.iter().find(|object| object.id == id)
    }

    /// The kernel's own types.
    pub fn vmlinux(&self) -> Types {
        self.vmlinux.clone()
    }

    /// Whether a BTF object is of the kernel or of a module, and not of programs.
    pub fn is_of_kernel(&self, object: u32) -> bool {
        self.object(object).is_some_and(|it| it.of_kernel)
    }

    /// The types of a BTF object of the kernel, of a module or of a BPF program.
    pub fn types(&self, object: u32) -> Result<Types> {
        let known = self.object(object);
        if known.is_some_and(|object| object.of_kernel && object.name == VMLINUX) {
            return Ok(self.vmlinux.clone());
        }
        if let Some(types) = self.others.borrow().get(&object) {
            return Ok(types.clone());
        }
        let btf = match known {
            Some(module) if module.of_kernel => {
                let path = Path::new(DIR).join(&module.name);
                btf_rs::Btf::from_split_file(&path, self.vmlinux.raw())
                    .with_context(|| format!("cannot read {}", path.display()))?
            }
            _ => btf_rs::Btf::from_bytes(&objects::btf_bytes(object)?)
                .with_context(|| format!("cannot read BTF object {object}"))?,
        };
        let types = Types::new(btf);
        self.others.borrow_mut().insert(object, types.clone());
        Ok(types)
    }

    /// The objects of the kernel and of its modules. A module that is unloaded meanwhile is left
    /// out.
    fn objects(&self) -> impl Iterator<Item = (&BtfObject, Types)> {
        self.objects
            .iter()
            .filter(|object| object.of_kernel)
            .filter_map(|object| Some((object, self.types(object.id).ok()?)))
    }

    /// The types of the kernel (without a name) and of its modules.
    pub fn all(&self) -> impl Iterator<Item = (Option<String>, Types)> + '_ {
        self.objects()
            .map(|(object, types)| (object.module(), types))
    }

    /// The functions of the kernel and of its modules whose names `want` picks, in the order of
    /// the objects. A function can be there more than once, and not all of them can be traced.
    #[allow(dead_code)] // For `trace`, which takes patterns.
    pub fn functions(&self, mut want: impl FnMut(&str) -> bool) -> Result<Vec<Function>> {
        let mut found = Vec::new();
        for (object, types) in self.objects() {
            let btf = types.raw();
            // A module's own types come after those of the kernel.
            let (first, last) = btf.split().unwrap_or_else(|| btf.base()).type_id_range();
            for type_id in first..=last {
                let Type::Func(func) = types.get(type_id)? else {
                    continue;
                };
                let name = types.name(&func);
                if want(&name) {
                    found.push(object.function(name, type_id));
                }
            }
        }
        Ok(found)
    }

    /// The functions of one name, all of them.
    pub fn find(&self, name: &str) -> Result<Vec<Function>> {
        let mut found = Vec::new();
        for (object, types) in self.objects() {
            for id in types.own_ids(name) {
                if matches!(types.get(id)?, Type::Func(_)) {
                    found.push(object.function(name.to_owned(), id));
                }
            }
        }
        Ok(found)
    }

    /// The function that a BTF object has under this number, as in a trampoline's key.
    pub fn function(&self, object: u32, type_id: u32) -> Result<Function> {
        let types = self.types(object)?;
        let Type::Func(func) = types.get(type_id)? else {
            bail!("type {type_id} of BTF object {object} is no function");
        };
        let name = types.name(&func);
        Ok(match self.object(object) {
            Some(object) => object.function(name, type_id),
            None => Function {
                name,
                object,
                type_id,
                module: None,
            },
        })
    }

    /// As C declares `function`.
    pub fn prototype(&self, function: &Function) -> Result<Prototype> {
        self.types(function.object)?
            .prototype(function.type_id)
            .with_context(|| format!("BTF of {}", function.name))
    }
}

#[cfg(test)]
impl Btf {
    /// A kernel of these types, as BTF object 1, and a BPF program's BTF, as object 2.
    pub fn of(vmlinux: Types) -> Self {
        let object = |id, name: &str, of_kernel| BtfObject {
            id,
            name: name.into(),
            of_kernel,
        };
        Self {
            vmlinux,
            objects: vec![object(1, VMLINUX, true), object(2, "", false)],
            others: RefCell::default(),
        }
    }
}

impl BtfObject {
    fn module(&self) -> Option<String> {
        let is_module = self.of_kernel && self.name != VMLINUX;
        is_module.then(|| self.name.clone())
    }

    fn function(&self, name: String, type_id: u32) -> Function {
        Function {
            name,
            object: self.id,
            type_id,
            module: self.module(),
        }
    }
}
