// SPDX-License-Identifier: GPL-2.0

//! Calls of `bpf_fixup_kfunc_call()`: a call of a kfunc is about to become instructions.

use super::{
    bindings,
    symbols::{
        to_u64,
        Symbols, //
    },
};
use core::{
    marker::PhantomData,
    mem::size_of,
    slice, //
};
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*, //
};

/// A BPF instruction in its 8 bytes, as the kernel keeps it.
pub(crate) type RawInsn = [u8; 8];

const _: () = assert!(size_of::<bindings::bpf_insn>() == size_of::<RawInsn>());

/// A call of `bpf_fixup_kfunc_call()`.
///
/// # Invariants
///
/// All pointers are as that function takes them, and valid for `'a`.
pub(crate) struct FixupCall<'a> {
    env: *mut bindings::bpf_verifier_env,
    insn: *mut bindings::bpf_insn,
    insn_buf: *mut bindings::bpf_insn,
    insn_idx: c_int,
    cnt: *mut c_int,
    _call: PhantomData<&'a mut bindings::bpf_insn>,
}

impl FixupCall<'_> {
    /// # Safety
    ///
    /// The parameters must be as `bpf_fixup_kfunc_call()` takes them.
    pub(super) unsafe fn new(
        env: *mut bindings::bpf_verifier_env,
        insn: *mut bindings::bpf_insn,
        insn_buf: *mut bindings::bpf_insn,
        insn_idx: c_int,
        cnt: *mut c_int,
    ) -> Self {
        // INVARIANT: By the caller's promise.
        Self {
            env,
            insn,
            insn_buf,
            insn_idx,
            cnt,
            _call: PhantomData,
        }
    }

    /// Lets the kernel's function answer.
    ///
    /// # Errors
    ///
    /// Its own.
    pub(crate) fn ask_c(&mut self) -> Result {
        // SAFETY: The hooks are only installed once the symbols are resolved; the rest is the type
        // invariant.
        to_result(unsafe {
            bindings::rf_bpf_fixup_kfunc_call(
                self.env,
                self.insn,
                self.insn_buf,
                self.insn_idx,
                self.cnt,
            )
        })
    }

    /// Address of the kfunc that is called. Known once C has answered.
    pub(crate) fn kfunc(&self, symbols: Symbols) -> u64 {
        // SAFETY: By the type invariant.
        let offset = unsafe { (*self.insn).imm };
        to_u64(symbols.call_base.wrapping_add_signed(offset as isize))
    }

    /// Whether the program is a session with one target or several.
    pub(crate) fn in_session(&self) -> bool {
        // SAFETY: By the type invariant.
        let attach_type = unsafe { (*bindings::rf_verified_prog(self.env)).expected_attach_type };
        matches!(
            attach_type,
            bindings::bpf_attach_type_BPF_TRACE_FSESSION
                | bindings::bpf_attach_type_BPF_TRACE_FSESSION_MULTI
        )
    }

    /// The instructions that take the call's place, none if it stays a call.
    pub(crate) fn insns(&self) -> &[RawInsn] {
        // SAFETY: By the type invariant, `cnt` instructions are in the buffer once C has answered.
        // Any bytes are a valid `RawInsn`.
        unsafe {
            let len = usize::try_from(*self.cnt).unwrap_or(0);
            slice::from_raw_parts(self.insn_buf.cast(), len)
        }
    }

    /// Puts other instructions in the call's place.
    ///
    /// # Errors
    ///
    /// `E2BIG` for more than the verifier has room for.
    pub(crate) fn replace(&mut self, insns: &[RawInsn]) -> Result {
        if insns.len() > bindings::RF_INSN_BUF_SIZE as usize {
            return Err(E2BIG);
        }
        let cnt = c_int::try_from(insns.len())?;
        // SAFETY: By the type invariant, the buffer has room for `INSN_BUF_SIZE` instructions, and
        // an instruction is these bytes.
        unsafe {
            let buf: *mut RawInsn = self.insn_buf.cast();
            buf.copy_from_nonoverlapping(insns.as_ptr(), insns.len());
            *self.cnt = cnt;
        }
        Ok(())
    }
}
