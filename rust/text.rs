// SPDX-License-Identifier: GPL-2.0

//! Executable memory for trampoline images.
//!
//! C: `arch_alloc_bpf_trampoline()`, `bpf_arch_text_copy()` and `bpf_arch_text_poke()` in
//! `arch/x86/net/bpf_jit_comp.c`

use super::{
    bindings,
    symbols::{
        to_u64,
        Symbols, //
    },
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_void,
    prelude::*, //
};

/// A piece of executable memory, charged to the limit of the JIT, filled with traps at first.
///
/// # Invariants
///
/// `start` points at `size` bytes from `arch_alloc_bpf_trampoline(size)`, and `size` bytes are
/// charged.
pub(crate) struct ExecText {
    start: NonNull<c_void>,
    size: u32,
    _symbols: Symbols,
}

// SAFETY: The memory belongs to no thread.
unsafe impl Send for ExecText {}
// SAFETY: All changes go through the kernel's text poking, which serialises them.
unsafe impl Sync for ExecText {}

impl ExecText {
    /// Allocates `size` bytes.
    ///
    /// # Errors
    ///
    /// `EPERM` if the limit of the JIT is reached and the task has no `CAP_BPF`, `ENOMEM`.
    pub(crate) fn alloc(size: u32, symbols: Symbols) -> Result<Self> {
        // SAFETY: `symbols` proves that the call is bound.
        to_result(unsafe { bindings::rf_bpf_jit_charge_modmem(size) })?;
        // SAFETY: As above.
        match NonNull::new(unsafe { bindings::rf_arch_alloc_bpf_trampoline(size) }) {
            // INVARIANT: Allocated and charged just now.
            Some(start) => Ok(Self {
                start,
                size,
                _symbols: symbols,
            }),
            None => {
                // SAFETY: As above; `size` bytes were charged.
                unsafe { bindings::rf_bpf_jit_uncharge_modmem(size) };
                Err(ENOMEM)
            }
        }
    }

    /// Address of the first byte.
    pub(crate) fn addr(&self) -> u64 {
        to_u64(self.start.as_ptr().expose_provenance())
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.start.as_ptr()
    }

    /// Writes `code` to the start of the memory.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `code` is longer than the memory.
    ///
    /// # Safety
    ///
    /// `code` must be made to run at the start of the memory, and no CPU may be executing there.
    pub(super) unsafe fn write(&self, code: &[u8]) -> Result {
        if code.len() > self.size as usize {
            return Err(EINVAL);
        }
        // SAFETY: `self._symbols` proves that the call is bound, and it only reads its source. By
        // the type invariant and the check above the destination holds `code.len()` bytes. They may
        // run there by the caller's promise.
        from_err_ptr(unsafe {
            bindings::rf_bpf_arch_text_copy(
                self.start.as_ptr(),
                code.as_ptr().cast_mut().cast(),
                code.len(),
            )
        })?;
        Ok(())
    }

    /// Appends the first `len` bytes to `out`, or all that there are.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn read(&self, len: usize, out: &mut KVec<u8>) -> Result {
        let len = len.min(self.size as usize);
        out.reserve(len, GFP_KERNEL)?;
        for at in 0..len {
            // SAFETY: By the type invariant, the byte belongs to the memory, which is readable. It
            // may be patched meanwhile, hence the volatile access.
            let byte = unsafe { self.start.as_ptr().cast::<u8>().add(at).read_volatile() };
            out.push_within_capacity(byte).map_err(|_| ENOMEM)?;
        }
        Ok(())
    }

    /// Turns the 5-byte nop at address `nop` into a jump to `target`. CPUs may be executing there.
    ///
    /// # Errors
    ///
    /// `EINVAL` if either address is outside the memory, `EBUSY` if there is no nop.
    pub(super) fn patch_jump(&self, nop: u64, target: u64) -> Result {
        let start = self.addr();
        let inside = start..start.saturating_add(u64::from(self.size));
        if !inside.contains(&nop) || !inside.contains(&target) {
            return Err(EINVAL);
        }
        // SAFETY: `self._symbols` proves that the call is bound; the poke stays inside the memory, where
        // it checks that a nop is replaced.
        let ret = unsafe {
            bindings::rf_bpf_arch_text_poke(
                ptr::with_exposed_provenance_mut(nop as usize),
                bindings::bpf_text_poke_type_BPF_MOD_NOP,
                bindings::bpf_text_poke_type_BPF_MOD_JUMP,
                ptr::null_mut(),
                ptr::with_exposed_provenance_mut(target as usize),
            )
        };
        // A positive value: the jump was there before.
        to_result(ret.min(0))
    }
}

impl Drop for ExecText {
    fn drop(&mut self) {
        // SAFETY: `self._symbols` proves that the calls are bound; the rest is the type invariant. The
        // owner of the memory drops it once no CPU can be executing there.
        unsafe {
            bindings::rf_arch_free_bpf_trampoline(self.start.as_ptr(), self.size);
            bindings::rf_bpf_jit_uncharge_modmem(self.size);
        }
    }
}
