// SPDX-License-Identifier: GPL-2.0

//! Mitigations of the running kernel at calls and returns.
//!
//! C: `cpu_wants_rethunk()` in `arch/x86/kernel/alternative.c`, `x86_call_depth_emit_accounting()`
//! in `arch/x86/kernel/callthunks.c`

use super::{
    bindings,
    symbols::Symbols, //
};
use core::ptr;

/// Room for the longest accounting sequence, in bytes (`MAX_PATCH_LEN` of the kernel).
const MAX_ACCOUNTING: usize = 254;

/// Address of the return thunk, if the CPU needs one (`cpu_wants_rethunk()`).
pub(crate) fn return_thunk(symbols: Symbols) -> Option<u64> {
    // SAFETY: `symbols` proves that the call is bound.
    if symbols.return_thunk == 0 || !unsafe { bindings::rf_cpu_wants_rethunk() } {
        return None;
    }
    let variable: *const u64 = ptr::with_exposed_provenance(symbols.return_thunk as usize);
    // SAFETY: `symbols` has the address of `x86_return_thunk`, which is constant after boot.
    Some(unsafe { variable.read() })
}

/// The call-depth accounting that the kernel puts in front of a call.
pub(crate) struct Accounting {
    code: [u8; MAX_ACCOUNTING],
    len: usize,
}

impl Accounting {
    /// Asks for the sequence at address `ip` in front of a call of `callee`, or for the one at an
    /// image's start. Empty if there is none: the kernel does not count, or the callee does.
    pub(crate) fn at(ip: u64, callee: Option<u64>, _symbols: Symbols) -> Self {
        let mut code = [0; MAX_ACCOUNTING];
        let mut end = code.as_mut_ptr();
        let callee = ptr::with_exposed_provenance_mut(callee.unwrap_or(0) as usize);
        // SAFETY: `_symbols` proves that the call is bound; it writes `MAX_PATCH_LEN` bytes at most,
        // and reads the code in front of `callee`, which the kernel calls or will call.
        let len = unsafe {
            bindings::rf_x86_call_depth_emit_accounting(
                &mut end,
                callee,
                ptr::with_exposed_provenance_mut(ip as usize),
            )
        };
        Self {
            code,
            len: usize::try_from(len).unwrap_or(0).min(MAX_ACCOUNTING),
        }
    }

    /// The instructions.
    pub(crate) fn code(&self) -> &[u8] {
        &self.code[..self.len]
    }
}
