// SPDX-License-Identifier: GPL-2.0

//! BPF objects and programs, as far as libbpf-rs does not have it already.
//!
//! Programs are loaded by libbpf but not attached by it: they carry their
//! target from load time, and their descriptors are given to the module.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use anyhow::{ensure, Context, Result};
use bytemuck::{AnyBitPattern, NoUninit};
use libbpf_rs::{MapCore, MapFlags, Object, ObjectBuilder, OpenObject, Program};

/// Opens `dir/name.bpf.o`.
pub fn open(dir: &Path, name: &str) -> Result<OpenObject> {
    let path = dir.join(format!("{name}.bpf.o"));
    ObjectBuilder::default()
        .open_file(&path)
        .with_context(|| format!("cannot open {}: is it built?", path.display()))
}

/// Leaves only those programs of `object` to be loaded that `want` names.
pub fn pick(object: &mut OpenObject, want: impl Fn(&str) -> bool) {
    for mut prog in object.progs_mut() {
        let wanted = want(&prog.name().to_string_lossy());
        prog.set_autoload(wanted);
    }
}

/// A descriptor of the program `name`.
pub fn fd(object: &Object, name: &str) -> Result<OwnedFd> {
    let prog = object
        .progs()
        .find(|prog| prog.name() == name)
        .with_context(|| format!("the object has no program {name}"))?;
    Ok(prog.as_fd().try_clone_to_owned()?)
}

/// Sets the section `section` of global data before the object is loaded.
pub fn set_globals<T: NoUninit>(object: &mut OpenObject, section: &str, value: &T) -> Result<()> {
    let mut map = object
        .maps_mut()
        .find(|map| map.name().to_string_lossy().ends_with(section))
        .with_context(|| format!("the object has no {section}"))?;
    let data = map
        .initial_value_mut()
        .with_context(|| format!("{section} is not global data"))?;
    ensure!(
        data.len() == size_of::<T>(),
        "{section} has {} bytes, the runner knows of {}: build both again",
        data.len(),
        size_of::<T>()
    );
    data.copy_from_slice(bytemuck::bytes_of(value));
    Ok(())
}

/// Reads the section `section` of global data.
pub fn globals<T: AnyBitPattern>(object: &Object, section: &str) -> Result<T> {
    let map = object
        .maps()
        .find(|map| map.name().to_string_lossy().ends_with(section))
        .with_context(|| format!("the object has no {section}"))?;
    let data = map
        .lookup(&0u32.to_ne_bytes(), MapFlags::ANY)?
        .with_context(|| format!("{section} is empty"))?;
    bytemuck::try_pod_read_unaligned(&data)
        .ok()
        .with_context(|| format!("{section} has {} bytes: build both again", data.len()))
}

/// Has the kernel call its test functions (`BPF_PROG_TEST_RUN`):
/// `bpf_fentry_test1()` to `bpf_fentry_test10()` for a tracing program,
/// `bpf_modify_return_test()` and `bpf_modify_return_test2()` for an fmod_ret
/// one. `prog` itself runs only where it is attached.
pub fn test_run(prog: BorrowedFd<'_>) -> io::Result<u32> {
    let mut opts = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as _,
        ..Default::default()
    };
    // SAFETY: `opts` has no pointers and outlives the call.
    let ret = unsafe { libbpf_sys::bpf_prog_test_run_opts(prog.as_raw_fd(), &mut opts) };
    check(ret).map(|_| opts.retval)
}

/// Attaches a tracing program by a BPF link, the ordinary way.
pub fn link(prog: BorrowedFd<'_>, attach_type: u32, bpf_cookie: u64) -> io::Result<OwnedFd> {
    let mut opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        ..Default::default()
    };
    opts.__bindgen_anon_1.tracing.cookie = bpf_cookie;
    // SAFETY: `opts` has no pointers and outlives the call.
    let fd =
        check(unsafe { libbpf_sys::bpf_link_create(prog.as_raw_fd(), 0, attach_type, &opts) })?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kernel's number of a program.
pub fn prog_id(prog: BorrowedFd<'_>) -> Result<u32> {
    Ok(Program::id_from_fd(prog)?)
}

/// Whether the kernel still has the program with this number.
pub fn prog_exists(id: u32) -> bool {
    Program::fd_from_id(id).is_ok()
}

/// libbpf's low-level calls return a negative errno.
fn check(ret: i32) -> io::Result<i32> {
    match ret {
        0.. => Ok(ret),
        _ => Err(io::Error::from_raw_os_error(-ret)),
    }
}
