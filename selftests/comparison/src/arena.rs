// SPDX-License-Identifier: GPL-2.0

//! A program with an arena, which lends its arena to the builders.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use libbpf_sys::{bpf_insn, bpf_map_create_opts, bpf_prog_load_opts};

const NAME: &CStr = c"arena_owner";

/// The device takes tracing programs. This one is for a function that every kernel has.
const FUNCTION: &CStr = c"__x64_sys_nanosleep";

/// Where user space would map the arena, which it does not. Any page below 2^47 is right.
const USER_ADDR: u64 = 1 << 44;

/// Loads a program that names an arena of one page, and so has it. It is never attached.
///
/// # Errors
///
/// Those of `bpf()`: `EPERM` without the capabilities, `EINVAL` where the kernel has no arenas;
/// `ESRCH` where it has no BTF.
pub fn owner() -> io::Result<OwnedFd> {
    let map_opts = bpf_map_create_opts {
        sz: size_of::<bpf_map_create_opts>() as _,
        map_flags: libbpf_sys::BPF_F_MMAPABLE,
        map_extra: USER_ADDR,
        ..Default::default()
    };
    // SAFETY: All pointers outlive the call.
    let map = descriptor(unsafe {
        libbpf_sys::bpf_map_create(
            libbpf_sys::BPF_MAP_TYPE_ARENA,
            NAME.as_ptr(),
            0,
            0,
            1,
            &map_opts,
        )
    })?;

    // r1 = the arena; r0 = 0; return
    let mut name_it = insn(libbpf_sys::BPF_LD | libbpf_sys::BPF_IMM | libbpf_sys::BPF_DW);
    name_it.set_dst_reg(libbpf_sys::BPF_REG_1 as u8);
    name_it.set_src_reg(libbpf_sys::BPF_PSEUDO_MAP_FD as u8);
    name_it.imm = map.as_raw_fd();
    let insns = [
        name_it,
        insn(0),
        insn(libbpf_sys::BPF_ALU64 | libbpf_sys::BPF_MOV | libbpf_sys::BPF_K),
        insn(libbpf_sys::BPF_JMP | libbpf_sys::BPF_EXIT),
    ];
    // SAFETY: The name outlives the call.
    let function = check(unsafe {
        libbpf_sys::libbpf_find_vmlinux_btf_id(FUNCTION.as_ptr(), libbpf_sys::BPF_TRACE_FENTRY)
    })?;
    let mut prog_opts = bpf_prog_load_opts {
        sz: size_of::<bpf_prog_load_opts>() as _,
        expected_attach_type: libbpf_sys::BPF_TRACE_FENTRY,
        attach_btf_id: function.unsigned_abs(),
        ..Default::default()
    };
    // SAFETY: All pointers outlive the call.
    descriptor(unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_TRACING,
            NAME.as_ptr(),
            c"GPL".as_ptr(),
            ptr::from_ref(&insns).cast(),
            insns.len() as _,
            &mut prog_opts,
        )
    })
}

fn insn(code: u32) -> bpf_insn {
    bpf_insn {
        code: code as u8,
        ..Default::default()
    }
}

/// libbpf's functions return a negative errno.
fn check(ret: i32) -> io::Result<i32> {
    match ret {
        0.. => Ok(ret),
        _ => Err(io::Error::from_raw_os_error(ret.saturating_neg())),
    }
}

fn descriptor(ret: i32) -> io::Result<OwnedFd> {
    let fd = check(ret)?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
