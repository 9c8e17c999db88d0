// SPDX-License-Identifier: GPL-2.0

//! The kernel function that a tracing program was loaded for.
//!
//! C: `bpf_check_attach_target()` in `kernel/bpf/verifier.c`

use super::{
    bindings,
    bpf_prog::Prog,
    btf_func_model::BtfFuncModel,
    errno::unsupported,
    symbols::{
        to_u64,
        Symbols, //
    },
};
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr, //
};

/// Whether the code at `addr` begins with an ENDBR, or with the poison that the kernel puts in place
/// of one.
pub(crate) fn starts_with_endbr(addr: u64, _symbols: Symbols) -> bool {
    // SAFETY: `_symbols` proves that the call is bound; it takes any address.
    unsafe { bindings::rf_is_endbr(ptr::with_exposed_provenance_mut(addr as usize)) }
}

/// A target, held in place: the module that it lies in is not unloaded.
///
/// # Invariants
///
/// `info` was filled in by `bpf_check_attach_target()`, and this value owns the reference on
/// `tgt_mod`, if there is one. `tgt_name` belongs to BTF that a program in the same trampoline
/// keeps alive.
pub(crate) struct BpfTarget {
    info: bindings::bpf_attach_target_info,
}

// SAFETY: The information is plain data, and a module reference may be put by any thread.
unsafe impl Send for BpfTarget {}
// SAFETY: Nothing is changed through `&self`.
unsafe impl Sync for BpfTarget {}

impl BpfTarget {
    /// Finds the target that `prog` was loaded for, by the kernel's own rules for attaching.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for a BPF program as target, which is not covered; the
    /// errors of `bpf_check_attach_target()` otherwise: `ENOENT` if the function is gone, `EINVAL` or
    /// `EOPNOTSUPP` if it cannot be traced so.
    pub(crate) fn of(prog: &Prog, _symbols: Symbols) -> Result<Self> {
        if !prog.targets_kernel() {
            return Err(unsupported());
        }
        let mut info = bindings::bpf_attach_target_info::default();
        // SAFETY: `_symbols` proves that the call is bound. A missing log is allowed, the program is
        // valid and `aux` with it.
        to_result(unsafe {
            let prog = prog.as_ptr();
            let btf_id = (*(*prog).aux).attach_btf_id;
            bindings::rf_bpf_check_attach_target(
                ptr::null_mut(),
                prog,
                ptr::null(),
                btf_id,
                &mut info,
            )
        })?;
        // INVARIANT: The call succeeded.
        Ok(Self { info })
    }

    /// Address of the function.
    pub(crate) fn addr(&self) -> u64 {
        to_u64(self.info.tgt_addr as usize)
    }

    /// The function's arguments.
    pub(crate) fn model(&self) -> BtfFuncModel {
        BtfFuncModel(self.info.fmodel)
    }

    /// The function's name.
    pub(crate) fn name(&self) -> &CStr {
        if self.info.tgt_name.is_null() {
            return c"";
        }
        // SAFETY: By the type invariant, the name is a live string.
        unsafe { CStr::from_char_ptr(self.info.tgt_name) }
    }
}

impl Drop for BpfTarget {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; null is allowed.
        unsafe { bindings::module_put(self.info.tgt_mod) };
    }
}
