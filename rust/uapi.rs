// SPDX-License-Identifier: GPL-2.0

//! The ioctl ABI of `/dev/rust_fsession`, as its C header defines it.
//!
//! C header: `src/uapi/rust_fsession.h`. User space has a mirror of it in Rust, `src/uapi/abi.rs`.

use super::bindings;
use kernel::transmute::{
    AsBytes,
    FromBytes, //
};

pub(crate) use super::bindings::{
    rust_fsession_add as Add,
    rust_fsession_case as Case,
    rust_fsession_case_prog as CaseProg,
    rust_fsession_info as Info,
    rust_fsession_remove as Remove, //
};

// SAFETY: Integers only: any bytes are a valid value.
unsafe impl FromBytes for Add {}
// SAFETY: As above.
unsafe impl FromBytes for Remove {}
// SAFETY: As above.
unsafe impl FromBytes for CaseProg {}
// SAFETY: As above.
unsafe impl FromBytes for Case {}
// SAFETY: Integers only, and no padding: the assertion below adds up the fields.
unsafe impl AsBytes for Info {}
// SAFETY: As above.
unsafe impl AsBytes for Case {}

const _: () = {
    let name = bindings::RUST_FSESSION_NAME_LEN as usize;
    assert!(size_of::<Info>() == 2 * 8 + 12 * 4 + name);
    let args = bindings::RUST_FSESSION_CASE_MAX_ARGS as usize;
    assert!(size_of::<Case>() == 3 * 8 + 12 * 4 + 2 * args);
};

/// Most session cookies on one trampoline.
pub(crate) const MAX_COOKIES: usize = bindings::RUST_FSESSION_MAX_COOKIES as usize;
/// Most programs of a case.
pub(crate) const CASE_MAX_PROGS: u32 = bindings::RUST_FSESSION_CASE_MAX_PROGS;

/// There is no image, or C was not asked.
pub(crate) const REFERENCE_NONE: u32 = bindings::RUST_FSESSION_REFERENCE_NONE;
/// The images are equal.
pub(crate) const REFERENCE_IDENTICAL: u32 = bindings::RUST_FSESSION_REFERENCE_IDENTICAL;
/// They differ.
pub(crate) const REFERENCE_DIFFERENT: u32 = bindings::RUST_FSESSION_REFERENCE_DIFFERENT;

/// The lists of a case's programs.
pub(crate) const LIST_FENTRY: u32 = bindings::RUST_FSESSION_LIST_FENTRY;
pub(crate) const LIST_FEXIT: u32 = bindings::RUST_FSESSION_LIST_FEXIT;
pub(crate) const LIST_FMOD_RET: u32 = bindings::RUST_FSESSION_LIST_FMOD_RET;

/// The traits of a case's programs.
pub(crate) const PROG_SESSION: u32 = bindings::RUST_FSESSION_PROG_SESSION;
pub(crate) const PROG_MULTI: u32 = bindings::RUST_FSESSION_PROG_MULTI;
pub(crate) const PROG_COOKIE: u32 = bindings::RUST_FSESSION_PROG_COOKIE;
pub(crate) const PROG_SLEEPABLE: u32 = bindings::RUST_FSESSION_PROG_SLEEPABLE;
pub(crate) const PROG_INTERPRETED: u32 = bindings::RUST_FSESSION_PROG_INTERPRETED;
pub(crate) const PROG_LSM: u32 = bindings::RUST_FSESSION_PROG_LSM;
pub(crate) const PROG_LSM_CGROUP: u32 = bindings::RUST_FSESSION_PROG_LSM_CGROUP;

/// The request numbers.
pub(crate) const IOC_ADD: u32 = bindings::RF_IOC_ADD;
pub(crate) const IOC_REMOVE: u32 = bindings::RF_IOC_REMOVE;
pub(crate) const IOC_INFO: u32 = bindings::RF_IOC_INFO;
pub(crate) const IOC_COMPARE: u32 = bindings::RF_IOC_COMPARE;
