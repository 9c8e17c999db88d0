// SPDX-License-Identifier: GPL-2.0

//! Kernel functions that are not exported to modules.
//!
//! C header: `rust/unexported.h`, the table of them.

use super::{
    bindings,
    errno::unsupported, //
};
use core::ptr;
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*,
    str::CStr, //
};

/// Proof that every function of `unexported.h` is bound, and the addresses that an image calls.
///
/// # Invariants
///
/// All static calls behind the `rf_*` functions of `helpers.h` point at the kernel functions whose
/// names they have, or at the bodies of these.
#[derive(Clone, Copy)]
pub(crate) struct Symbols {
    /// Address of `__bpf_tramp_enter()`.
    pub(crate) tramp_enter: u64,
    /// Address of `__bpf_tramp_exit()`.
    pub(crate) tramp_exit: u64,
    /// Address of the variable `x86_return_thunk`, 0 in a kernel without return thunks.
    pub(super) return_thunk: u64,
    /// Address of the variable `cfi_mode`, 0 in a kernel without CFI.
    pub(super) cfi_mode: usize,
    /// Address of the variable `cfi_bhi`, 0 in a kernel without FineIBT that poisons arguments.
    pub(super) cfi_bhi: usize,
    /// Address of `__bhi_args`, 0 in a kernel without it.
    pub(super) bhi_args: usize,
    /// Address of `bpf_session_is_return()`.
    pub(crate) session_is_return: u64,
    /// Address of `bpf_session_cookie()`.
    pub(crate) session_cookie: u64,
    /// Address of `__bpf_call_base()`, from which the kernel counts calls of kfuncs.
    pub(super) call_base: usize,
    /// Address of `arch_bpf_trampoline_size()`.
    pub(super) size_entry: usize,
    /// Address of `arch_prepare_bpf_trampoline()`.
    pub(super) prepare_entry: usize,
    /// Address of `bpf_fixup_kfunc_call()`.
    pub(super) fixup_entry: usize,
}

impl Symbols {
    /// Finds and binds all functions.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` where the kernel lacks one; the log names each that is missing. Errors of
    /// `register_kprobe()`, by which the search starts.
    pub(crate) fn resolve() -> Result<Self> {
        let entry = kallsyms_lookup_name_addr().inspect_err(|e| {
            pr_err!("no access to kallsyms: kprobe on kallsyms_lookup_name: {e:?}\n");
        })?;
        // SAFETY: `entry` is the code of the function that the static call is declared for.
        unsafe { bindings::rf_bind_kallsyms_lookup_name(entry) };

        let mut missing = 0usize;
        // Whole functions first: where the bodies of the others begin takes one of them.
        for body in [false, true] {
            if missing != 0 {
                break;
            }
            for symbol in table().iter().filter(|symbol| symbol.body == body) {
                // SAFETY: The names of the table are NUL-terminated literals.
                let name = unsafe { CStr::from_char_ptr(symbol.name) };
                let (Some(addr), Some(bind)) = (lookup(name), symbol.bind) else {
                    report_missing(name, &mut missing);
                    continue;
                };
                let addr = if body { body_of(addr) } else { addr };
                // SAFETY: kallsyms gave the address for the name that `bind` is declared for. A
                // body does what its function does.
                unsafe { bind(ptr::with_exposed_provenance_mut(addr)) };
            }
        }
        let mut address = |name| {
            lookup(name).unwrap_or_else(|| {
                report_missing(name, &mut missing);
                0
            })
        };
        // INVARIANT: Where something is missing, this goes no further.
        let symbols = Self {
            tramp_enter: to_u64(address(c"__bpf_tramp_enter")),
            tramp_exit: to_u64(address(c"__bpf_tramp_exit")),
            return_thunk: if cfg!(CONFIG_MITIGATION_RETHUNK) {
                to_u64(address(c"x86_return_thunk"))
            } else {
                0
            },
            cfi_mode: if cfg!(CONFIG_CFI) {
                address(c"cfi_mode")
            } else {
                0
            },
            cfi_bhi: if cfg!(CONFIG_FINEIBT_BHI) {
                address(c"cfi_bhi")
            } else {
                0
            },
            bhi_args: if cfg!(CONFIG_FINEIBT_BHI) {
                address(c"__bhi_args")
            } else {
                0
            },
            session_is_return: to_u64(address(c"bpf_session_is_return")),
            session_cookie: to_u64(address(c"bpf_session_cookie")),
            call_base: address(c"__bpf_call_base"),
            size_entry: address(c"arch_bpf_trampoline_size"),
            prepare_entry: address(c"arch_prepare_bpf_trampoline"),
            fixup_entry: address(c"bpf_fixup_kfunc_call"),
        };
        if missing != 0 {
            return Err(unsupported());
        }
        Ok(symbols)
    }
}

impl Symbols {
    /// Whether the JIT can build images for sessions at all.
    pub(crate) fn jit_supports_fsession(self) -> bool {
        // SAFETY: By the type invariant the call is bound.
        unsafe { bindings::rf_bpf_jit_supports_fsession() }
    }
}

fn report_missing(name: &CStr, missing: &mut usize) {
    pr_err!(
        "this kernel has no {}, which the trampolines need\n",
        name.to_str().unwrap_or("?")
    );
    *missing += 1;
}

/// Addresses have 64 bits on the one architecture that there is.
pub(super) const fn to_u64(addr: usize) -> u64 {
    addr as u64
}

/// The address of an object, in the type that the builder has for addresses.
pub(crate) fn addr_of<T>(object: &T) -> u64 {
    to_u64(ptr::from_ref(object).addr())
}

fn table() -> &'static [bindings::rf_symbol] {
    // SAFETY: `rf_symbols` is a constant array of `rf_nr_symbols` entries.
    unsafe {
        core::slice::from_raw_parts(
            ptr::addr_of!(bindings::rf_symbols).cast(),
            bindings::rf_nr_symbols as usize,
        )
    }
}

/// The address of a kernel symbol. `rf_kallsyms_lookup_name()` must be bound.
fn lookup(name: &CStr) -> Option<usize> {
    // SAFETY: The string is NUL-terminated; `resolve()` bound the function before it calls this.
    match unsafe { bindings::rf_kallsyms_lookup_name(name.as_char_ptr()) } {
        0 => None,
        addr => Some(addr),
    }
}

/// Where the body of the function at `addr` begins: behind the ftrace site, if it has one, where no
/// user of ftrace sees the caller. `rf_ftrace_location()` must be bound.
fn body_of(addr: usize) -> usize {
    // SAFETY: Any address may be asked for; `resolve()` bound the function before it calls this.
    match unsafe { bindings::rf_ftrace_location(addr) } {
        0 => addr,
        site => site + bindings::RF_FTRACE_SITE_SIZE as usize,
    }
}

/// Where `kallsyms_lookup_name()` is: the address that a kprobe on it resolves to.
///
/// That may lie behind the function's ENDBR, which makes no difference to a direct call.
///
/// The probe is disabled, so that nothing is patched: to disarm a probe takes memory, and
/// `unregister_kprobe()` leaves one that it cannot disarm in the kernel's table, without a word to
/// the caller.
fn kallsyms_lookup_name_addr() -> Result<*mut c_void> {
    let mut probe = KBox::new(
        bindings::kprobe {
            symbol_name: c"kallsyms_lookup_name".as_char_ptr(),
            flags: bindings::KPROBE_FLAG_DISABLED,
            ..Default::default()
        },
        GFP_KERNEL,
    )?;
    let probe: *mut bindings::kprobe = &mut *probe;
    // SAFETY: `probe` stays where it is until it is unregistered, and has a symbol name only.
    to_result(unsafe { bindings::register_kprobe(probe) })?;
    // SAFETY: Registration filled in the address; nothing else accesses the probe.
    let addr = unsafe { (*probe).addr };
    // SAFETY: The probe was registered above.
    unsafe { bindings::unregister_kprobe(probe) };
    Ok(addr.cast())
}
