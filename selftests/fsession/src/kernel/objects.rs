// SPDX-License-Identifier: GPL-2.0

//! BTF objects by the kernel's numbers, and what all calls of `bpf()` share.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{bail, Context, Result};
use libbpf_sys as sys;

/// A BTF object that the kernel has a number for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfObject {
    pub id: u32,
    /// `vmlinux` or a module's name; empty for that of BPF programs.
    pub name: String,
    /// It describes the kernel or a module of it.
    pub of_kernel: bool,
}

/// All of them, by their numbers.
///
/// # Errors
///
/// It takes CAP_SYS_ADMIN.
pub fn btf_objects() -> Result<Vec<BtfObject>> {
    let mut objects = Vec::new();
    for id in ids(sys::bpf_btf_get_next_id) {
        let id = id.map_err(|err| explain(err, "the BTF objects"))?;
        // It may be gone by now.
        let Ok(fd) = open(id) else { continue };
        let mut name = [0_u8; 64];
        let mut info = sys::bpf_btf_info {
            name: name.as_mut_ptr() as u64,
            name_len: name.len() as u32,
            ..Default::default()
        };
        get_info(&fd, &mut info)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
        objects.push(BtfObject {
            id,
            name: String::from_utf8_lossy(&name[..end]).into_owned(),
            of_kernel: info.kernel_btf != 0,
        });
    }
    Ok(objects)
}

/// The numbers of all BPF programs. An error is the last item.
pub fn prog_ids() -> impl Iterator<Item = io::Result<u32>> {
    ids(sys::bpf_prog_get_next_id)
}

/// The same of all links.
pub fn link_ids() -> impl Iterator<Item = io::Result<u32>> {
    ids(sys::bpf_link_get_next_id)
}

/// `next` writes the number after the one that it takes.
fn ids(next: unsafe extern "C" fn(u32, *mut u32) -> i32) -> impl Iterator<Item = io::Result<u32>> {
    let mut last = Some(0);
    std::iter::from_fn(move || {
        let mut id = 0;
        // SAFETY: `id` is what is written to.
        match check(unsafe { next(last?, &mut id) }) {
            Ok(_) => {
                last = Some(id);
                Some(Ok(id))
            }
            Err(err) => {
                last = None;
                (err.kind() != io::ErrorKind::NotFound).then_some(Err(err))
            }
        }
    })
}

/// What is in the BTF object `id`.
pub fn btf_bytes(id: u32) -> Result<Vec<u8>> {
    let fd = open(id).with_context(|| format!("cannot open BTF object {id}"))?;
    let mut info = sys::bpf_btf_info::default();
    get_info(&fd, &mut info)?;
    let mut bytes = vec![0; info.btf_size as usize];
    let mut info = sys::bpf_btf_info {
        btf: bytes.as_mut_ptr() as u64,
        btf_size: bytes.len() as u32,
        ..Default::default()
    };
    get_info(&fd, &mut info)?;
    if info.btf_size as usize != bytes.len() {
        bail!("BTF object {id} changes its size");
    }
    Ok(bytes)
}

/// `bpf()` failed. Most often that is a lack of privilege.
pub fn explain(err: io::Error, what: &str) -> anyhow::Error {
    let hint = match err.kind() {
        io::ErrorKind::PermissionDenied => ": run this as root (it takes CAP_SYS_ADMIN)",
        _ => "",
    };
    anyhow::Error::new(err).context(format!("cannot ask the kernel for {what}{hint}"))
}

fn open(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: The call takes a number only.
    own(unsafe { sys::bpf_btf_get_fd_by_id(id) })
}

/// The new descriptor that a call of libbpf has returned, or the error.
pub fn own(fd: i32) -> io::Result<OwnedFd> {
    let fd = check(fd)?;
    // SAFETY: The descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The pointers in `info` are null, or to what is as long as the field beside them says.
fn get_info(fd: &OwnedFd, info: &mut sys::bpf_btf_info) -> Result<()> {
    let mut len = mem::size_of::<sys::bpf_btf_info>() as u32;
    // SAFETY: `len` is the size of `info`, and its pointers are good: see above.
    check(unsafe { sys::bpf_btf_get_info_by_fd(fd.as_raw_fd(), info, &mut len) })
        .context("cannot ask for a BTF object")?;
    Ok(())
}

/// libbpf's own functions return a negative errno.
pub fn check(ret: i32) -> io::Result<i32> {
    match ret {
        0.. => Ok(ret),
        _ => Err(io::Error::from_raw_os_error(ret.saturating_neg())),
    }
}
