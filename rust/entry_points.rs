// SPDX-License-Identifier: GPL-2.0

//! The kernel's entry points to the C builder and to kfunc inlining, and their replacements.
//!
//! C: `arch_bpf_trampoline_size()` and `arch_prepare_bpf_trampoline()` in
//! `arch/x86/net/bpf_jit_comp.c`, `bpf_fixup_kfunc_call()` in `kernel/bpf/verifier.c`

use super::{
    bindings,
    build_call::{
        PrepareCall,
        SizeCall, //
    },
    fixup_call::FixupCall,
    plan::Plan,
    rcu_tasks::wait_for_preempted,
    redirect::Redirects,
    symbols::Symbols,
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr, //
};
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// Functions in place of the entry points. Each returns what the kernel's function would.
pub(crate) trait EntryPoints: Send + Sync {
    /// `arch_bpf_trampoline_size()`
    fn size(&self, call: &SizeCall<'_>) -> Result<u32>;

    /// `arch_prepare_bpf_trampoline()`
    fn prepare(&self, call: &PrepareCall<'_>) -> Result<u32>;

    /// `bpf_fixup_kfunc_call()`
    fn fixup_kfunc(&self, call: &mut FixupCall<'_>) -> Result;
}

/// Address of the active `EntryPoints`, or 0.
static ACTIVE: Atomic<usize> = Atomic::new(0);
/// Number of callers in the replacements below.
static INSIDE: Atomic<i64> = Atomic::new(0);

/// The three redirections. On drop, waits until no caller is inside.
///
/// # Invariants
///
/// `ACTIVE` is the address of `*_entry_points` for as long as a caller can be inside.
pub(crate) struct Installed<T: EntryPoints> {
    redirects: ManuallyDrop<Redirects>,
    // The replacements find it by its address.
    _entry_points: Arc<T>,
}

impl<T: EntryPoints> Installed<T> {
    /// Redirects the entry points to `entry_points`. There can be one at a time.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one, if another user of ftrace has redirected an entry point, or if
    /// `kernel.ftrace_enabled` is 0; `ENODEV` if ftrace is dead; `ENOMEM`.
    pub(crate) fn new(
        entry_points: Arc<T>,
        module: &'static ThisModule,
        symbols: Symbols,
    ) -> Result<Self> {
        let address = ptr::from_ref(&*entry_points).expose_provenance();
        if ACTIVE.cmpxchg(0, address, Release).is_err() {
            return Err(EBUSY);
        }
        let redirections = [
            (symbols.size_entry, size::<T> as *mut c_void),
            (symbols.prepare_entry, prepare::<T> as *mut c_void),
            (symbols.fixup_entry, fixup_kfunc::<T> as *mut c_void),
        ];
        // SAFETY: Each pair is of one type. Dropping `Self` removes the redirections first and then
        // waits until no caller is inside; where there are none after an error, nobody was.
        let redirects = unsafe { Redirects::new(&redirections, module, symbols) }
            .inspect_err(|_| ACTIVE.store(0, Relaxed))?;
        // INVARIANT: Set above, and taken back on drop.
        Ok(Self {
            redirects: ManuallyDrop::new(redirects),
            _entry_points: entry_points,
        })
    }
}

impl<T: EntryPoints> Drop for Installed<T> {
    fn drop(&mut self) {
        // SAFETY: Not used after this.
        unsafe { ManuallyDrop::drop(&mut self.redirects) };
        // A caller may have been preempted on its way from ftrace to the replacement's count.
        wait_for_preempted();
        while INSIDE.load(Acquire) != 0 {
            fsleep(Delta::from_millis(1));
        }
        // And another behind the count, before it is back in its caller.
        wait_for_preempted();
        ACTIVE.store(0, Relaxed);
    }
}

/// A caller inside a replacement, counted until it is dropped.
struct Inside<T>(PhantomData<T>);

impl<T: EntryPoints> Inside<T> {
    fn enter() -> Self {
        INSIDE.fetch_add(1, Full);
        Self(PhantomData)
    }

    /// The active functions, if there are any.
    fn active(&self) -> Option<&T> {
        let address = ACTIVE.load(Acquire);
        let active: *const T = ptr::with_exposed_provenance(address);
        // SAFETY: By the invariant of `Installed`, which holds as long as `self` counts. Only
        // `Installed<T>` leads callers into the replacements of `T`.
        unsafe { active.as_ref() }
    }
}

impl<T> Drop for Inside<T> {
    fn drop(&mut self) {
        INSIDE.fetch_add(-1, Full);
    }
}

/// In place of `arch_bpf_trampoline_size()`.
///
/// # Safety
///
/// As for that function.
unsafe extern "C" fn size<T: EntryPoints>(
    model: *const bindings::btf_func_model,
    flags: u32,
    nodes: *mut bindings::bpf_tramp_nodes,
    func: *mut c_void,
) -> c_int {
    let inside = Inside::<T>::enter();
    // SAFETY: By the caller's promise.
    let call = SizeCall::new(unsafe { Plan::of_kernel(model, flags, nodes, func) });
    to_int(match inside.active() {
        Some(entry_points) => entry_points.size(&call),
        None => call.ask_c(),
    })
}

/// In place of `arch_prepare_bpf_trampoline()`.
///
/// # Safety
///
/// As for that function.
unsafe extern "C" fn prepare<T: EntryPoints>(
    im: *mut bindings::bpf_tramp_image,
    start: *mut c_void,
    end: *mut c_void,
    model: *const bindings::btf_func_model,
    flags: u32,
    nodes: *mut bindings::bpf_tramp_nodes,
    func: *mut c_void,
) -> c_int {
    let inside = Inside::<T>::enter();
    // SAFETY: By the caller's promise.
    let call =
        unsafe { PrepareCall::new(im, start, end, Plan::of_kernel(model, flags, nodes, func)) };
    to_int(match inside.active() {
        Some(entry_points) => entry_points.prepare(&call),
        None => call.ask_c(),
    })
}

/// In place of `bpf_fixup_kfunc_call()`.
///
/// # Safety
///
/// As for that function.
unsafe extern "C" fn fixup_kfunc<T: EntryPoints>(
    env: *mut bindings::bpf_verifier_env,
    insn: *mut bindings::bpf_insn,
    insn_buf: *mut bindings::bpf_insn,
    insn_idx: c_int,
    cnt: *mut c_int,
) -> c_int {
    let inside = Inside::<T>::enter();
    // SAFETY: By the caller's promise.
    let mut call = unsafe { FixupCall::new(env, insn, insn_buf, insn_idx, cnt) };
    let ret = match inside.active() {
        Some(entry_points) => entry_points.fixup_kfunc(&mut call),
        None => call.ask_c(),
    };
    to_int(ret.map(|()| 0))
}

fn to_int(ret: Result<u32>) -> c_int {
    match ret {
        Ok(size) => c_int::try_from(size).unwrap_or(c_int::MAX),
        Err(e) => e.to_errno(),
    }
}
