// SPDX-License-Identifier: GPL-2.0

//! What an image has to know about the running kernel and its CPU mitigations.

use super::Quirks;

/// Something that an image calls with a direct `call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callee {
    /// Address that is called.
    pub addr: u64,
    /// The callee accounts for the call itself, so the image does not. Only looked at on a machine
    /// with [`Machine::call_depth`].
    ///
    /// Counterpart of `is_callthunk()` of `arch/x86/kernel/callthunks.c`.
    pub counted: bool,
}

/// The counters of call-depth tracking, which every uncounted call has to move.
///
/// Both are addresses of per-CPU symbols as the kernel is linked and relocated; the image reaches
/// them `rip`-relative under `gs`.
///
/// Counterpart of `INCREMENT_CALL_DEPTH` of `arch/x86/include/asm/nospec-branch.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDepth {
    /// `__x86_call_depth`.
    pub depth: u64,
    /// `__x86_call_count`, in a kernel with `CONFIG_CALL_THUNKS_DEBUG`.
    pub calls: Option<u64>,
}

/// How an image begins that is called indirectly ([`Flags::INDIRECT`](super::Flags::INDIRECT)).
///
/// Counterpart of `emit_cfi()` and `cfi_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// With its frame: a kernel without `CONFIG_X86_KERNEL_IBT` and without CFI.
    None,
    /// With `endbr64`: a kernel with IBT and without CFI.
    Endbr,
    /// With the type hash that a kCFI caller compares.
    Kcfi {
        /// Type hash, `cfi_get_func_hash()` of the stub function.
        hash: u32,
        /// Bytes of one-byte nops behind the hash: `CONFIG_FUNCTION_PADDING_CFI` in a kernel with
        /// `CONFIG_CALL_PADDING`, else 0.
        padding: u8,
        /// Whether the kernel has IBT.
        endbr: bool,
    },
    /// With the check of the type hash that a FineIBT caller passes in `eax`.
    FineIbt {
        /// Type hash, `cfi_get_func_hash()` of the stub function.
        hash: u32,
        /// Address of `__bhi_args[arity]` where `cfi_bhi` is on.
        bhi: Option<u64>,
    },
}

/// The running kernel, as far as an image shows it.
///
/// All of it stays the same from boot to shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `__bpf_tramp_enter()`.
    pub tramp_enter: Callee,
    /// `__bpf_tramp_exit()`.
    pub tramp_exit: Callee,
    /// `x86_return_thunk`, where `cpu_wants_rethunk()`; else images end with `ret`.
    pub return_thunk: Option<u64>,
    /// `CONFIG_MITIGATION_SLS`: `int3` behind a `ret`.
    pub sls: bool,
    /// The counters of call-depth tracking, where it is on.
    pub call_depth: Option<CallDepth>,
    /// `CONFIG_DYNAMIC_FTRACE_WITH_JMP`: an image that calls the function and does not skip its
    /// frame is entered with `jmp`, not with `call`.
    pub jmp: bool,
    /// Size of `struct bpf_tramp_run_ctx` in bytes.
    pub run_ctx_size: u16,
    /// Offset of `bpf_cookie` in it, in bytes.
    pub bpf_cookie_off: u16,
    /// Where the kernel's C builder is wrong, and whether to be wrong with it.
    pub quirks: Quirks,
}
