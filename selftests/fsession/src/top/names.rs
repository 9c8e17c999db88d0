// SPDX-License-Identifier: GPL-2.0

//! Names of programs and of what they are attached to, by BTF.

use std::collections::BTreeMap;
use std::ffi::{c_char, CStr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};

use anyhow::{Context, Result};
use libbpf_sys as sys;

use crate::kernel::objects::{check, own};

/// What a program was loaded for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    /// BTF object and type in it, where that object is the kernel's or of a module.
    of_kernel: Option<(u32, u32)>,
}

impl Target {
    /// As `bpf_trampoline_compute_key()` of the kernel has it. `linked` is what a link tells:
    /// the number of a program where that is the target.
    pub fn key(&self, linked: Option<(u32, u32)>) -> Option<u64> {
        let join = |object: u32, id: u32| (u64::from(object) << 32) | u64::from(id);
        match self.of_kernel {
            Some((object, id)) => Some(join(object, id | (1 << 31))),
            None => linked.map(|(program, id)| join(program, id)),
        }
    }
}

pub struct Names {
    /// By their numbers. None where it is not to be had.
    objects: BTreeMap<u32, Option<Object>>,
    /// What modules' BTF goes on from, dropped after it.
    vmlinux: Btf,
}

struct Object {
    btf: Btf,
    of_kernel: bool,
}

impl Names {
    pub fn load() -> Result<Self> {
        // SAFETY: The call takes nothing.
        let vmlinux = Btf::new(unsafe { sys::btf__load_vmlinux_btf() })
            .context("this kernel has no BTF: CONFIG_DEBUG_INFO_BTF=y is missing")?;
        Ok(Self {
            vmlinux,
            objects: BTreeMap::new(),
        })
    }

    /// What the program was loaded for, if that has a trampoline.
    pub fn target(&mut self, info: &sys::bpf_prog_info) -> Option<Target> {
        let (object, id) = (info.attach_btf_obj_id, info.attach_btf_id);
        match info.type_ {
            // Those of many functions are told what by their links.
            sys::BPF_PROG_TYPE_TRACING if id == 0 => {
                return Some(Target {
                    name: "(many functions)".into(),
                    of_kernel: None,
                })
            }
            sys::BPF_PROG_TYPE_TRACING
            | sys::BPF_PROG_TYPE_LSM
            | sys::BPF_PROG_TYPE_EXT
            | sys::BPF_PROG_TYPE_STRUCT_OPS => {}
            _ => return None,
        }
        let (kind, name) = match self.object(object) {
            Some(object) => object.btf.get(id)?,
            None => return None,
        };
        // Raw tracepoints have a typedef, iterators a function that nobody calls.
        let is_function = kind == sys::BTF_KIND_FUNC && !name.starts_with("bpf_iter_");
        if !is_function && info.type_ != sys::BPF_PROG_TYPE_STRUCT_OPS {
            return None;
        }
        let of_kernel = self.object(object).is_some_and(|object| object.of_kernel);
        let is_function_of_kernel = of_kernel && is_function;
        Some(Target {
            name,
            of_kernel: is_function_of_kernel.then_some((object, id)),
        })
    }

    /// The program's name. The kernel keeps 15 characters of it, its BTF all.
    pub fn program(&mut self, fd: &OwnedFd, info: &sys::bpf_prog_info) -> String {
        self.whole_name(fd, info)
            .unwrap_or_else(|| text(&info.name))
    }

    fn whole_name(&mut self, fd: &OwnedFd, info: &sys::bpf_prog_info) -> Option<String> {
        let mut function = sys::bpf_func_info::default();
        let mut more = sys::bpf_prog_info {
            nr_func_info: 1,
            func_info_rec_size: size_of_val(&function) as u32,
            func_info: ptr::from_mut(&mut function) as u64,
            ..Default::default()
        };
        if info.nr_func_info == 0 {
            return None;
        }
        // SAFETY: There is room for one record.
        unsafe { prog_info(fd, &mut more) }.ok()?;
        let (kind, name) = self.object(info.btf_id)?.btf.get(function.type_id)?;
        (kind == sys::BTF_KIND_FUNC).then_some(name)
    }

    fn object(&mut self, id: u32) -> Option<&Object> {
        let vmlinux = &self.vmlinux;
        let object = self
            .objects
            .entry(id)
            .or_insert_with(|| Object::load(id, vmlinux));
        object.as_ref()
    }
}

/// Fills in `info` for the program `fd`.
///
/// # Safety
///
/// The pointers in `info` are null, or to what is as long as the fields beside them say.
pub unsafe fn prog_info(fd: &OwnedFd, info: &mut sys::bpf_prog_info) -> io::Result<()> {
    let mut len = size_of_val(info) as u32;
    // SAFETY: `len` is the size of `info`; the caller answers for its pointers.
    check(unsafe { sys::bpf_prog_get_info_by_fd(fd.as_raw_fd(), info, &mut len) }).map(drop)
}

impl Object {
    fn load(id: u32, vmlinux: &Btf) -> Option<Self> {
        // SAFETY: The call takes a number only.
        let fd = own(unsafe { sys::bpf_btf_get_fd_by_id(id) }).ok()?;
        let mut name = [0 as c_char; 64];
        let mut info = sys::bpf_btf_info {
            name: name.as_mut_ptr() as u64,
            name_len: name.len() as u32,
            ..Default::default()
        };
        let mut len = size_of_val(&info) as u32;
        // SAFETY: `len` is the size of `info`, whose pointer is to as much as it says.
        check(unsafe { sys::bpf_btf_get_info_by_fd(fd.as_raw_fd(), &mut info, &mut len) }).ok()?;
        let of_kernel = info.kernel_btf != 0;
        // A module's BTF goes on where the kernel's ends.
        let base = match of_kernel && text(&name) != "vmlinux" {
            true => vmlinux.0.as_ptr(),
            false => ptr::null_mut(),
        };
        // SAFETY: `base` is null, or lives as long as `Names`, like this.
        let btf = Btf::new(unsafe { sys::btf__load_from_kernel_by_id_split(id, base) })?;
        Some(Self { btf, of_kernel })
    }
}

/// A BTF object of libbpf.
struct Btf(NonNull<sys::btf>);

impl Btf {
    /// Takes what libbpf has made, null after an error.
    fn new(btf: *mut sys::btf) -> Option<Self> {
        NonNull::new(btf).map(Self)
    }

    /// Kind and name of a type.
    fn get(&self, id: u32) -> Option<(u32, String)> {
        // SAFETY: The object is there; the call takes any number.
        let found = unsafe { sys::btf__type_by_id(self.0.as_ptr(), id).as_ref() }?;
        // SAFETY: The same. What it returns is null or a string that the object has.
        let name = unsafe {
            let name = sys::btf__name_by_offset(self.0.as_ptr(), found.name_off);
            (!name.is_null()).then(|| CStr::from_ptr(name))
        }?;
        let kind = (found.info >> 24) & 0x1f;
        Some((kind, name.to_string_lossy().into_owned()))
    }
}

impl Drop for Btf {
    fn drop(&mut self) {
        // SAFETY: Nobody else frees it.
        unsafe { sys::btf__free(self.0.as_ptr()) }
    }
}

/// What is before the first 0.
fn text(bytes: &[c_char]) -> String {
    let bytes: Vec<u8> = bytes
        .iter()
        .map(|byte| *byte as u8)
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
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
        let of_kernel = target(Some((1, 0x1234)));
        assert_eq!(of_kernel.key(None), Some(0x1_8000_1234));
        // A program as a target: its own number, which only a link tells.
        assert_eq!(target(None).key(Some((7, 3))), Some(0x7_0000_0003));
        assert_eq!(target(None).key(None), None);
    }

    #[test]
    fn a_name_ends_at_0() {
        let name: Vec<_> = b"ab\0c".iter().map(|byte| *byte as c_char).collect();
        assert_eq!(text(&name), "ab");
    }
}
