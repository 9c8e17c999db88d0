// SPDX-License-Identifier: GPL-2.0

//! Names of programs and of what they were loaded for, by BTF.

use std::os::fd::OwnedFd;
use std::ptr;

use anyhow::Result;
use btf_rs::Type;
use libbpf_sys as sys;

use crate::kernel::btf::Btf;
use crate::kernel::progs::prog_info;

/// What a program was loaded for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    /// A function of the kernel or of a module, and not of a BPF program.
    of_kernel: bool,
}

impl Target {
    /// As `bpf_trampoline_compute_key()` of the kernel has it, of what a link tells: the number of
    /// the BTF object of a function of the kernel, of the program otherwise, and a type.
    pub fn key(&self, (object, id): (u32, u32)) -> Option<u64> {
        let id = if self.of_kernel { id | (1 << 31) } else { id };
        // (Older kernels do not tell.)
        (object != 0).then_some((u64::from(object) << 32) | u64::from(id))
    }
}

pub struct Names(Btf);

impl Names {
    /// # Errors
    ///
    /// The kernel has no BTF, or the caller is not privileged.
    pub fn load() -> Result<Self> {
        Btf::load().map(Self)
    }

    /// What the program was loaded for, if that has a trampoline.
    pub fn target(&self, info: &sys::bpf_prog_info) -> Option<Target> {
        let (object, id) = (info.attach_btf_obj_id, info.attach_btf_id);
        match info.type_ {
            // Those of many functions are told what by their links.
            sys::BPF_PROG_TYPE_TRACING if id == 0 => {
                return Some(Target {
                    name: "(many functions)".into(),
                    of_kernel: false,
                })
            }
            sys::BPF_PROG_TYPE_TRACING
            | sys::BPF_PROG_TYPE_LSM
            | sys::BPF_PROG_TYPE_EXT
            | sys::BPF_PROG_TYPE_STRUCT_OPS => {}
            _ => return None,
        }
        let types = self.0.types(object).ok()?;
        let name = match types.get(id).ok()? {
            Type::Func(function) => types.name(&function),
            // Of struct_ops, the table that a member of is written.
            Type::Struct(table) => types.name(&table),
            // Raw tracepoints have a typedef.
            _ => return None,
        };
        // Iterators have a function that nobody calls.
        let of_kernel = self.0.is_of_kernel(object);
        (!name.starts_with("bpf_iter_")).then_some(Target { name, of_kernel })
    }

    /// The program's name. The kernel keeps 15 characters of it, its BTF all.
    pub fn program(&self, fd: &OwnedFd, info: &sys::bpf_prog_info) -> String {
        self.whole_name(fd, info).unwrap_or_else(|| {
            let name = info.name.iter().map(|byte| *byte as u8);
            let name: Vec<u8> = name.take_while(|byte| *byte != 0).collect();
            String::from_utf8_lossy(&name).into_owned()
        })
    }

    fn whole_name(&self, fd: &OwnedFd, info: &sys::bpf_prog_info) -> Option<String> {
        if info.nr_func_info == 0 {
            return None;
        }
        let mut function = sys::bpf_func_info::default();
        let mut more = sys::bpf_prog_info {
            nr_func_info: 1,
            func_info_rec_size: size_of_val(&function) as u32,
            func_info: ptr::from_mut(&mut function) as u64,
            ..Default::default()
        };
        // SAFETY: There is room for one record.
        unsafe { prog_info(fd, &mut more) }.ok()?;
        let types = self.0.types(info.btf_id).ok()?;
        match types.get(function.type_id).ok()? {
            Type::Func(function) => Some(types.name(&function)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_that_of_the_kernel() {
        let target = |of_kernel| Target {
            name: "f".into(),
            of_kernel,
        };
        assert_eq!(target(true).key((1, 0x1234)), Some(0x1_8000_1234));
        assert_eq!(target(false).key((7, 3)), Some(0x7_0000_0003));
        assert_eq!(target(true).key((0, 0)), None);
    }
}
