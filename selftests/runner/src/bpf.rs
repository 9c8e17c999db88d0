// SPDX-License-Identifier: GPL-2.0

//! BPF objects and programs, as far as libbpf-rs does not have it already.
//!
//! Programs are loaded by libbpf but not attached by it: they carry their
//! target from load time, and their descriptors are given to the module.

use std::collections::HashMap;
use std::ffi::CString;
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

/// Sets the section `section` of global data back to zeroes.
pub fn clear_globals(object: &Object, section: &str) -> Result<()> {
    let map = object
        .maps()
        .find(|map| map.name().to_string_lossy().ends_with(section))
        .with_context(|| format!("the object has no {section}"))?;
    let zeroes = vec![0; map.value_size() as usize];
    Ok(map.update(&0u32.to_ne_bytes(), &zeroes, MapFlags::ANY)?)
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

/// What the kernel tells about a program.
pub fn info(prog: BorrowedFd<'_>) -> Result<libbpf_sys::bpf_prog_info> {
    info_and(prog, &mut [])
}

/// The same, and its instructions after the verifier, as many as fit into `insns`.
fn info_and(prog: BorrowedFd<'_>, insns: &mut [[u8; 8]]) -> Result<libbpf_sys::bpf_prog_info> {
    let mut info = libbpf_sys::bpf_prog_info {
        xlated_prog_len: size_of_val(insns) as u32,
        xlated_prog_insns: insns.as_mut_ptr() as u64,
        ..Default::default()
    };
    let mut len = size_of_val(&info) as u32;
    // SAFETY: The kernel writes no more than the two lengths say.
    check(unsafe { libbpf_sys::bpf_prog_get_info_by_fd(prog.as_raw_fd(), &mut info, &mut len) })?;
    Ok(info)
}

/// The BTF with this number, of the kernel or of a module.
pub fn btf(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: The call has no pointers.
    let fd = check(unsafe { libbpf_sys::bpf_btf_get_fd_by_id(id) })?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// How often a program was left out because it was running on that CPU already.
pub fn misses(prog: BorrowedFd<'_>) -> Result<u64> {
    Ok(info(prog)?.recursion_misses)
}

/// The instructions of a program after the verifier, as the kernel shows them.
pub fn xlated(prog: BorrowedFd<'_>) -> Result<Vec<[u8; 8]>> {
    let mut insns = vec![[0; 8]; info(prog)?.xlated_prog_len as usize / 8];
    info_and(prog, &mut insns)?;
    Ok(insns)
}

/// Has the kernel count and time the runs of all programs, until dropped.
pub fn enable_stats() -> io::Result<OwnedFd> {
    // SAFETY: The call has no pointers.
    let fd = check(unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) })?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads the program `name` of these instructions. The pointers of `opts` are null, or to what
/// outlives the call; its `sz` is set here.
pub fn load_insns(
    name: &str,
    prog_type: libbpf_sys::bpf_prog_type,
    insns: &[libbpf_sys::bpf_insn],
    mut opts: libbpf_sys::bpf_prog_load_opts,
) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    opts.sz = size_of_val(&opts) as _;
    // SAFETY: All pointers outlive the call.
    let fd = check(unsafe {
        libbpf_sys::bpf_prog_load(
            prog_type,
            name.as_ptr(),
            c"GPL".as_ptr(),
            insns.as_ptr(),
            insns.len() as _,
            &mut opts,
        )
    })?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Options for a program on the function with this number in the kernel's BTF, or on those
/// that its link names (0).
pub fn tracing_opts(
    attach_type: libbpf_sys::bpf_attach_type,
    sleepable: bool,
    id: u32,
) -> libbpf_sys::bpf_prog_load_opts {
    libbpf_sys::bpf_prog_load_opts {
        expected_attach_type: attach_type,
        attach_btf_id: id,
        prog_flags: if sleepable {
            libbpf_sys::BPF_F_SLEEPABLE
        } else {
            0
        },
        ..Default::default()
    }
}

/// The instructions of an object's programs by name, to load them again and again.
pub struct Instructions(HashMap<String, Vec<libbpf_sys::bpf_insn>>);

impl Instructions {
    /// Of those programs that were loaded with the object.
    pub fn of(object: &Object) -> Self {
        let loaded = object.progs().filter(|prog| prog.autoload());
        let insns = loaded.map(|prog| {
            let name = prog.name().to_string_lossy().into_owned();
            (name, prog.insns().to_vec())
        });
        Self(insns.collect())
    }

    /// # Errors
    ///
    /// `Unsupported` if the object has no such program, those of the kernel.
    pub fn load(
        &self,
        name: &str,
        prog_type: libbpf_sys::bpf_prog_type,
        opts: libbpf_sys::bpf_prog_load_opts,
    ) -> io::Result<OwnedFd> {
        let insns = self.0.get(name).ok_or(io::ErrorKind::Unsupported)?;
        load_insns(name, prog_type, insns, opts)
    }
}

/// libbpf's low-level calls return a negative errno.
pub fn check(ret: i32) -> io::Result<i32> {
    match ret {
        0.. => Ok(ret),
        _ => Err(io::Error::from_raw_os_error(-ret)),
    }
}

/// Loads the program `name` only, for `target`.
pub fn load_for(mut open: OpenObject, name: &str, target: &str) -> Result<Object> {
    pick(&mut open, |prog| prog == name);
    for mut prog in open.progs_mut().filter(|prog| prog.name() == name) {
        prog.set_attach_target(0, Some(target.to_owned()))
            .with_context(|| format!("{name} cannot be put on {target}"))?;
    }
    open.load()
        .with_context(|| format!("cannot load {name} for {target}"))
}
