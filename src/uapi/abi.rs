// SPDX-License-Identifier: GPL-2.0

//! The ioctl ABI of `/dev/rust_fsession`: the mirror of `rust_fsession.h`.
//!
//! For user space, which includes this one file: it needs nothing but `core`. The
//! module takes its structures from the header. That documents each request and its
//! errors; a test in `selftests/uapi` compiles it and compares the sizes, offsets
//! and numbers here with it.

use core::mem::size_of;

/// Bytes of the name in [`Info`], its final NUL included.
pub const NAME_LEN: usize = 128;

/// Most session cookies on one trampoline.
pub const MAX_COOKIES: u32 = 4;

/// There is no image, or the C builder could not be asked.
pub const REFERENCE_NONE: u32 = 0;
/// The C builder's image has the same code bytes and side records.
pub const REFERENCE_IDENTICAL: u32 = 1;
/// The C builder's image is different.
pub const REFERENCE_DIFFERENT: u32 = 2;

/// Attach a program: `struct rust_fsession_add`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Add {
    /// Descriptor of the program.
    pub prog_fd: u32,
    /// Must be 0.
    pub flags: u32,
    /// What `bpf_get_attach_cookie()` returns.
    pub bpf_cookie: u64,
}

/// Detach a program: `struct rust_fsession_remove`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Remove {
    /// Descriptor of the program.
    pub prog_fd: u32,
    /// Must be 0.
    pub flags: u32,
}

/// The trampoline as it is: `struct rust_fsession_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Address of the traced function.
    pub target_addr: u64,
    /// Address of the current image, 0 where there is none.
    pub image_addr: u64,
    /// Bytes allocated for the image.
    pub image_size: u32,
    /// Bytes of code in the image.
    pub code_size: u32,
    /// `BPF_TRAMP_F_*` the image was built with.
    pub flags: u32,
    /// Images built through this descriptor.
    pub generation: u32,
    /// Attached fentry programs.
    pub nr_fentry: u32,
    /// Attached fexit programs.
    pub nr_fexit: u32,
    /// Attached fmod_ret programs.
    pub nr_fmod_ret: u32,
    /// Attached sessions.
    pub nr_fsession: u32,
    /// Session cookies, not BPF cookies.
    pub nr_cookies: u32,
    /// One of the `REFERENCE_*` values.
    pub reference: u32,
    /// Where the frame pointer is set up, from the image's start.
    pub fp_start: u32,
    /// Where the frame pointer is taken down, from the image's start.
    pub fp_end: u32,
    /// Name of the traced function, ended by a NUL.
    pub target: [u8; NAME_LEN],
}

impl Default for Info {
    fn default() -> Self {
        Self {
            target_addr: 0,
            image_addr: 0,
            image_size: 0,
            code_size: 0,
            flags: 0,
            generation: 0,
            nr_fentry: 0,
            nr_fexit: 0,
            nr_fmod_ret: 0,
            nr_fsession: 0,
            nr_cookies: 0,
            reference: REFERENCE_NONE,
            fp_start: 0,
            fp_end: 0,
            target: [0; NAME_LEN],
        }
    }
}

/// The entry programs of a case.
pub const LIST_FENTRY: u32 = 0;
/// The exit programs of a case.
pub const LIST_FEXIT: u32 = 1;
/// The fmod_ret programs of a case.
pub const LIST_FMOD_RET: u32 = 2;

/// A program of a case is a session.
pub const PROG_SESSION: u32 = 1 << 0;
/// It has the `_MULTI` attach type of its kind.
pub const PROG_MULTI: u32 = 1 << 1;
/// It calls `bpf_session_cookie()`.
pub const PROG_COOKIE: u32 = 1 << 2;
/// It may sleep.
pub const PROG_SLEEPABLE: u32 = 1 << 3;
/// It is not jited.
pub const PROG_INTERPRETED: u32 = 1 << 4;
/// It is an LSM program, which runs without recursion check.
pub const PROG_LSM: u32 = 1 << 5;
/// It is an LSM program of a cgroup.
pub const PROG_LSM_CGROUP: u32 = 1 << 6;

/// Most programs of a case.
pub const CASE_MAX_PROGS: u32 = 108;
/// Most arguments of a case's function.
pub const CASE_MAX_ARGS: usize = 12;

/// A program that does not exist: `struct rust_fsession_case_prog`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaseProg {
    /// What `bpf_get_attach_cookie()` would return.
    pub bpf_cookie: u64,
    /// Where its code begins, from the image's start; 0: some function of the kernel.
    pub entry: i64,
    /// One of the `LIST_*` values.
    pub list: u32,
    /// `PROG_*` bits.
    pub traits: u32,
}

/// An image to be built by both builders: `struct rust_fsession_case`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Case {
    /// Address of `nr_progs` records of [`CaseProg`].
    pub progs: u64,
    /// Address of a page for the Rust builder's image, 0: not wanted.
    pub rust_image: u64,
    /// Address of a page for the C builder's image, 0: not wanted.
    pub c_image: u64,
    /// How many programs there are.
    pub nr_progs: u32,
    /// `BPF_TRAMP_F_*`.
    pub flags: u32,
    /// 1: the traced function begins with an ENDBR.
    pub endbr: u32,
    /// How many arguments it has.
    pub nr_args: u32,
    /// Descriptor of a tracing program with an arena, -1: none.
    pub arena_prog_fd: i32,
    /// Their sizes in bytes.
    pub arg_size: [u8; CASE_MAX_ARGS],
    /// Their `BTF_FMODEL_*` flags.
    pub arg_flags: [u8; CASE_MAX_ARGS],
    /// Size that the Rust builder measures in bytes, or a negative errno.
    pub rust_size: i32,
    /// Size of the image that it builds in bytes, or a negative errno.
    pub rust_ret: i32,
    /// Result of `arch_bpf_trampoline_size()`.
    pub c_size: i32,
    /// Result of `arch_prepare_bpf_trampoline()`.
    pub c_ret: i32,
    /// One of the `REFERENCE_*` values; none: C must not be asked.
    pub verdict: u32,
    /// First byte that differs, -1: something else.
    pub differs_at: i32,
    /// 0.
    pub reserved: u32,
}

/// `RUST_FSESSION_IOC_ADD`, takes an [`Add`].
pub const IOC_ADD: u32 = ioc(IOC_WRITE, 1, size_of::<Add>());
/// `RUST_FSESSION_IOC_REMOVE`, takes a [`Remove`].
pub const IOC_REMOVE: u32 = ioc(IOC_WRITE, 2, size_of::<Remove>());
/// `RUST_FSESSION_IOC_INFO`, gives an [`Info`].
pub const IOC_INFO: u32 = ioc(IOC_READ, 3, size_of::<Info>());

/// `RUST_FSESSION_IOC_COMPARE`, takes and gives a [`Case`].
pub const IOC_COMPARE: u32 = ioc(IOC_READ | IOC_WRITE, 4, size_of::<Case>());

/// User space writes, the kernel reads.
const IOC_WRITE: u32 = 1;
/// User space reads, the kernel writes.
const IOC_READ: u32 = 2;
/// The first byte of every request number.
const IOC_TYPE: u32 = 0xbf;

/// What the header's `_IOR()` and `_IOW()` compute.
const fn ioc(direction: u32, nr: u32, size: usize) -> u32 {
    // The size field has 14 bits.
    assert!(size < 1 << 14);
    (direction << 30) | ((size as u32) << 16) | (IOC_TYPE << 8) | nr
}
