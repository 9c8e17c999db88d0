// SPDX-License-Identifier: GPL-2.0

//! The kernel's own entry points to the C builder and to kfunc inlining, taken over.
//!
//! C: `arch_bpf_trampoline_size()` and `arch_prepare_bpf_trampoline()` in
//! `arch/x86/net/bpf_jit_comp.c`, `bpf_fixup_kfunc_call()` in `kernel/bpf/verifier.c`

use super::{
    bindings,
    build_call::{
        BuildCall,
        FillCall, //
    },
    fixup_call::FixupCall,
    redirect::Redirect,
    symbols::Symbols,
};
use core::ptr;
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// What answers in place of the entry points. Each returns what the kernel's function would.
pub(crate) trait EntryPoints: Send + Sync {
    /// `arch_bpf_trampoline_size()`
    fn measure(&self, call: &mut BuildCall<'_>) -> Result<u32>;

    /// `arch_prepare_bpf_trampoline()`
    fn build(&self, call: &mut FillCall<'_>) -> Result<u32>;

    /// `bpf_fixup_kfunc_call()`
    fn fixup_kfunc(&self, call: &mut FixupCall<'_>) -> Result;
}

/// Who answers now, null if nobody does.
static ACTIVE: Atomic<usize> = Atomic::new(0);
/// How many callers are in the replacements below.
static INSIDE: Atomic<i64> = Atomic::new(0);

struct Answering(KBox<dyn EntryPoints>);

/// The three redirections. On drop, waits until no caller is inside.
///
/// # Invariants
///
/// `ACTIVE` is the address of `_answering` for as long as a caller can be inside.
pub(crate) struct Installed {
    redirects: KVec<Redirect>,
    // The callers find it by its address.
    _answering: KBox<Answering>,
}

impl Installed {
    /// Redirects the entry points to `answering`. There can be one at a time.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one, or if somebody else has redirected an entry point; `ENOMEM`.
    pub(crate) fn new(answering: KBox<dyn EntryPoints>, bound: Symbols) -> Result<Self> {
        let answering = KBox::new(Answering(answering), GFP_KERNEL)?;
        let address = ptr::from_ref(&*answering).expose_provenance();
        if ACTIVE.cmpxchg(0, address, Release).is_err() {
            return Err(EBUSY);
        }
        // INVARIANT: Set just now, and taken back when `installed` is dropped.
        let mut installed = Self {
            redirects: KVec::new(),
            _answering: answering,
        };
        let replacements: [(usize, *mut c_void); 3] = [
            (bound.measure_entry, measure as *mut c_void),
            (bound.build_entry, build as *mut c_void),
            (bound.fixup_entry, fixup_kfunc as *mut c_void),
        ];
        for (from, to) in replacements {
            // SAFETY: Each pair is of one type. Dropping `installed` removes the redirections
            // first and then waits until no caller is inside.
            let redirect = unsafe { Redirect::new(from, to) }?;
            installed.redirects.push(redirect, GFP_KERNEL)?;
        }
        Ok(installed)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        self.redirects.clear();
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

fn wait_for_preempted() {
    // SAFETY: May be called from any context that can sleep.
    unsafe { bindings::rf_synchronize_rcu_tasks() };
}

/// Counts a caller as long as it is inside.
struct Inside;

impl Inside {
    fn enter() -> Self {
        INSIDE.fetch_add(1, Full);
        Self
    }

    /// Who answers.
    fn answering(&self) -> Option<&dyn EntryPoints> {
        let address = ACTIVE.load(Acquire);
        let answering: *const Answering = ptr::with_exposed_provenance(address);
        // SAFETY: By the invariant of `Installed`, which holds as long as `self` counts.
        unsafe { answering.as_ref() }.map(|answering| &*answering.0)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_add(-1, Full);
    }
}

/// In place of `arch_bpf_trampoline_size()`.
///
/// # Safety
///
/// As for that function.
unsafe extern "C" fn measure(
    model: *const bindings::btf_func_model,
    flags: u32,
    nodes: *mut bindings::bpf_tramp_nodes,
    func: *mut c_void,
) -> c_int {
    let inside = Inside::enter();
    // SAFETY: By the caller's promise.
    let mut call = unsafe { BuildCall::new(model, flags, nodes, func) };
    to_int(match inside.answering() {
        Some(entry_points) => entry_points.measure(&mut call),
        None => call.ask_c(),
    })
}

/// In place of `arch_prepare_bpf_trampoline()`.
///
/// # Safety
///
/// As for that function.
unsafe extern "C" fn build(
    im: *mut bindings::bpf_tramp_image,
    start: *mut c_void,
    end: *mut c_void,
    model: *const bindings::btf_func_model,
    flags: u32,
    nodes: *mut bindings::bpf_tramp_nodes,
    func: *mut c_void,
) -> c_int {
    let inside = Inside::enter();
    // SAFETY: By the caller's promise.
    let mut call =
        unsafe { FillCall::new(im, start, end, BuildCall::new(model, flags, nodes, func)) };
    to_int(match inside.answering() {
        Some(entry_points) => entry_points.build(&mut call),
        None => call.ask_c(),
    })
}

/// In place of `bpf_fixup_kfunc_call()`.
///
/// # Safety
///
/// As for that function.
unsafe extern "C" fn fixup_kfunc(
    env: *mut bindings::bpf_verifier_env,
    insn: *mut bindings::bpf_insn,
    insn_buf: *mut bindings::bpf_insn,
    insn_idx: c_int,
    cnt: *mut c_int,
) -> c_int {
    let inside = Inside::enter();
    // SAFETY: By the caller's promise.
    let mut call = unsafe { FixupCall::new(env, insn, insn_buf, insn_idx, cnt) };
    let ret = match inside.answering() {
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
