// SPDX-License-Identifier: GPL-2.0

//! What the kernel that the module is built for has: numbers and layouts of its headers.
//!
//! C header: `include/linux/bpf.h`

use super::bindings;
use core::mem::{
    offset_of,
    size_of, //
};

/// The flags of an argument that points into a BPF arena, and of one that may be null, where the
/// kernel converts such arguments (`BTF_FMODEL_ARENA_ARG`, `BTF_FMODEL_NULLABLE_ARG`).
pub(crate) const ARENA_ARG: Option<(u8, u8)> = match bindings::RF_ARENA_ARG_FLAG {
    0 => None,
    flag => Some((flag, bindings::RF_NULLABLE_ARG_FLAG)),
};

/// Functions can jump to an image instead of calling it.
pub(crate) const JMP_ENTRY: bool = cfg!(CONFIG_DYNAMIC_FTRACE_WITH_JMP);

/// Functions that are called indirectly begin with an ENDBR.
pub(crate) const IBT: bool = cfg!(CONFIG_X86_KERNEL_IBT);

/// A return is followed by a trap.
pub(crate) const SLS: bool = cfg!(CONFIG_MITIGATION_SLS);

/// Most bytes of an image.
pub(crate) const PAGE_SIZE: usize = bindings::PAGE_SIZE;

/// Size of `struct bpf_tramp_run_ctx` in bytes.
pub(crate) const RUN_CTX_SIZE: usize = size_of::<bindings::bpf_tramp_run_ctx>();

/// Where the BPF cookie lies in it, in bytes.
pub(crate) const BPF_COOKIE_OFF: usize = offset_of!(bindings::bpf_tramp_run_ctx, bpf_cookie);
