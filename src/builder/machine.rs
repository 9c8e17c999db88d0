// SPDX-License-Identifier: GPL-2.0

//! Properties of the running kernel and its CPU mitigations.

use super::Quirks;

/// A function that an image calls directly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Callee {
    /// Address of the function.
    pub addr: u64,
    /// The function does its own accounting, so the image does not. Only used with
    /// [`Machine::call_depth`].
    ///
    /// Counterpart of `is_callthunk()` of `arch/x86/kernel/callthunks.c`.
    pub counted: bool,
}

/// Counters of call-depth tracking.
///
/// Both are addresses of per-CPU symbols as the kernel is linked and relocated; the image accesses
/// them relative to `rip` under `gs`.
///
/// Counterpart of `INCREMENT_CALL_DEPTH` of `arch/x86/include/asm/nospec-branch.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDepth {
    /// `__x86_call_depth`.
    pub depth: u64,
    /// `__x86_call_count`, in a kernel with `CONFIG_CALL_THUNKS_DEBUG`.
    pub calls: Option<u64>,
}

/// Preamble of an image that is called indirectly ([`Flags::INDIRECT`](super::Flags::INDIRECT)).
///
/// Counterpart of `emit_cfi()` and `cfi_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// No preamble: a kernel without `CONFIG_X86_KERNEL_IBT` and without CFI.
    None,
    /// `endbr64`: a kernel with IBT and without CFI.
    Endbr,
    /// The type hash that a kCFI caller compares.
    Kcfi {
        /// Type hash, `cfi_get_func_hash()` of the stub function.
        hash: u32,
        /// Number of one-byte nops after the hash: `CONFIG_FUNCTION_PADDING_CFI` in a kernel with
        /// `CONFIG_CALL_PADDING`, else 0.
        padding: u8,
        /// Whether the kernel has IBT.
        endbr: bool,
    },
    /// The check of the type hash that a FineIBT caller passes in `eax`.
    FineIbt {
        /// Type hash, `cfi_get_func_hash()` of the stub function.
        hash: u32,
        /// Address of `__bhi_args[arity]` if `cfi_bhi` is on.
        bhi: Option<u64>,
    },
}

/// The running kernel, as far as images depend on it.
///
/// Constant from boot to shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `__bpf_tramp_enter()`.
    pub tramp_enter: Callee,
    /// `__bpf_tramp_exit()`.
    pub tramp_exit: Callee,
    /// `x86_return_thunk` if `cpu_wants_rethunk()`; otherwise images end with `ret`.
    pub return_thunk: Option<u64>,
    /// `CONFIG_MITIGATION_SLS`: `int3` after a `ret`.
    pub sls: bool,
    /// The counters of call-depth tracking, if it is on.
    pub call_depth: Option<CallDepth>,
    /// `CONFIG_DYNAMIC_FTRACE_WITH_JMP`: an image that calls the function and does not skip its
    /// frame is entered with `jmp`, not with `call`.
    pub jmp: bool,
    /// Size of `struct bpf_tramp_run_ctx` in bytes.
    pub run_ctx_size: u16,
    /// Offset of `bpf_cookie` in it, in bytes.
    pub bpf_cookie_off: u16,
    /// Quirks of the kernel's C builder, and which of them to reproduce.
    pub quirks: Quirks,
}
