// SPDX-License-Identifier: GPL-2.0

//! How the running kernel checks indirect calls.
//!
//! C: `emit_cfi()` in `arch/x86/net/bpf_jit_comp.c`, `arch/x86/include/asm/cfi.h`

use super::{
    bindings,
    symbols::{
        to_u64,
        Symbols, //
    },
};
use core::ptr;

/// What an indirect call of a function checks.
pub(crate) enum Check {
    /// Nothing, but for the ENDBR where the kernel has IBT.
    None,
    /// The caller compares the hash in front of the function.
    Kcfi {
        /// The type's hash.
        hash: u32,
    },
    /// The function compares the hash that its caller passes.
    FineIbt {
        /// The type's hash.
        hash: u32,
        /// Address of the code that poisons the arguments where the hash is another one, if the
        /// kernel does that.
        bhi: Option<u64>,
    },
}

/// One-byte nops between the hash that a kCFI caller compares and the function.
pub(crate) const KCFI_PADDING: u8 = bindings::RF_KCFI_PADDING;

/// Size of one of the `__bhi_args`, in bytes.
const BHI_THUNK_SIZE: u64 = size_of::<bindings::bhi_thunk>() as u64;

/// What checks indirect calls of the function at `func`. Any address may be asked for: where there
/// is no function, the hash is 0 or any other, as C takes it.
pub(crate) fn check_of(func: u64, symbols: Symbols) -> Check {
    // SAFETY: `symbols` has the addresses of both variables, or 0.
    let (mode, poisons) = unsafe {
        (
            read::<bindings::cfi_mode>(symbols.cfi_mode),
            read::<bool>(symbols.cfi_bhi),
        )
    };
    let func = ptr::with_exposed_provenance_mut(func as usize);
    // SAFETY: `symbols` proves that the call is bound; it reads with faults handled.
    let hash = || unsafe { bindings::rf_cfi_get_func_hash(func) };
    match mode {
        Some(bindings::cfi_mode_CFI_KCFI) => Check::Kcfi { hash: hash() },
        Some(bindings::cfi_mode_CFI_FINEIBT) => Check::FineIbt {
            hash: hash(),
            bhi: (poisons == Some(true)).then(|| bhi_args(func, symbols)),
        },
        _ => Check::None,
    }
}

/// Address of the `__bhi_args` for as many arguments as the function at `func` has.
fn bhi_args(func: *mut kernel::ffi::c_void, symbols: Symbols) -> u64 {
    // SAFETY: `symbols` proves that the call is bound; it reads with faults handled.
    let arity = unsafe { bindings::rf_cfi_get_func_arity(func) };
    let arity = u64::from_ne_bytes(i64::from(arity).to_ne_bytes());
    to_u64(symbols.bhi_args).wrapping_add(arity.wrapping_mul(BHI_THUNK_SIZE))
}

/// The value of the variable at `addr`, none if that is 0: a kernel without it.
///
/// # Safety
///
/// `addr` must be 0, or the address of a `T` that is constant after boot.
unsafe fn read<T: Copy>(addr: usize) -> Option<T> {
    let variable: *const T = ptr::with_exposed_provenance(addr);
    // SAFETY: By the caller's promise.
    (addr != 0).then(|| unsafe { variable.read() })
}
