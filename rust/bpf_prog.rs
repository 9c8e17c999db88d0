// SPDX-License-Identifier: GPL-2.0

//! Loaded BPF programs.
//!
//! C headers: `include/linux/bpf.h`, `include/linux/filter.h`

use super::{
    bindings,
    symbols::{
        to_u64,
        Symbols, //
    },
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*,
    types::Opaque, //
};

/// What a tracing program with a single target does there (`expected_attach_type`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachKind {
    /// Runs before the function.
    Fentry,
    /// Runs after the function.
    Fexit,
    /// Runs before the function and may return in its place.
    ModifyReturn,
    /// Runs before and after the function.
    Fsession,
}

/// The kernel functions that enclose a program's run in a trampoline, as addresses.
#[derive(Clone, Copy)]
pub(crate) struct RunGuards {
    /// `__bpf_prog_enter*()`.
    pub(crate) enter: u64,
    /// `__bpf_prog_exit*()`.
    pub(crate) exit: u64,
}

/// A program, borrowed.
///
/// # Invariants
///
/// The structure and its `aux` are initialised, as loading a program does it.
#[repr(transparent)]
pub(crate) struct Prog(Opaque<bindings::bpf_prog>);

// SAFETY: What `&self` reads does not change once a program is loaded.
unsafe impl Sync for Prog {}

impl Prog {
    fn get(&self) -> &bindings::bpf_prog {
        // SAFETY: By the type invariant. The fields that are read here are constant after loading.
        unsafe { &*self.0.get() }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::bpf_prog {
        self.0.get()
    }

    /// Address of the `struct bpf_prog`.
    pub(crate) fn addr(&self) -> u64 {
        to_u64(self.0.get().expose_provenance())
    }

    /// Address of the code that runs the program: its own, or the interpreter's.
    pub(crate) fn entry(&self) -> u64 {
        to_u64(self.get().bpf_func.map_or(0, |func| func as usize))
    }

    /// Address of the program's instructions, where an interpreter runs them.
    pub(crate) fn interpreted(&self) -> Option<u64> {
        if self.get().jited() != 0 {
            return None;
        }
        // SAFETY: By the type invariant; only the field's address is taken.
        let insnsi = unsafe { &raw const (*self.0.get()).__bindgen_anon_2 };
        Some(to_u64(insnsi.expose_provenance()))
    }

    /// The kind of program, `None` for those that have no trampoline or more than one target.
    pub(crate) fn kind(&self) -> Option<AttachKind> {
        match self.get().expected_attach_type {
            bindings::bpf_attach_type_BPF_TRACE_FENTRY => Some(AttachKind::Fentry),
            bindings::bpf_attach_type_BPF_TRACE_FEXIT => Some(AttachKind::Fexit),
            bindings::bpf_attach_type_BPF_MODIFY_RETURN => Some(AttachKind::ModifyReturn),
            bindings::bpf_attach_type_BPF_TRACE_FSESSION => Some(AttachKind::Fsession),
            _ => None,
        }
    }

    /// Whether the program calls `bpf_session_cookie()`.
    pub(crate) fn calls_session_cookie(&self) -> bool {
        self.get().call_session_cookie() != 0
    }

    /// Whether the program calls `bpf_get_func_ip()`.
    pub(crate) fn calls_get_func_ip(&self) -> bool {
        self.get().call_get_func_ip() != 0
    }

    /// Whether the program's target is a kernel function, not another BPF program.
    pub(crate) fn targets_kernel(&self) -> bool {
        // SAFETY: A loaded program has `aux`, and `attach_btf` does not change.
        unsafe { !(*self.get().aux).attach_btf.is_null() }
    }

    /// Whether the program is a session, with one target or several.
    pub(crate) fn is_session(&self) -> bool {
        matches!(
            self.get().expected_attach_type,
            bindings::bpf_attach_type_BPF_TRACE_FSESSION
                | bindings::bpf_attach_type_BPF_TRACE_FSESSION_MULTI
        )
    }

    pub(super) fn arena(&self) -> *mut bindings::bpf_arena {
        // SAFETY: A loaded program has `aux`, and `arena` does not change.
        unsafe { (*self.get().aux).arena }
    }

    /// Kernel address of the arena that the program uses, if it uses one.
    pub(crate) fn arena_base(&self, _bound: Symbols) -> Option<u64> {
        let arena = NonNull::new(self.arena())?;
        // SAFETY: `_bound` says that the call is bound; the program keeps its arena.
        Some(unsafe { bindings::rf_bpf_arena_get_kern_vm_start(arena.as_ptr()) })
    }

    /// Tells the kernel that images call this program: when its last reference is gone, its memory
    /// stays until no task can be on its way from an image into it.
    ///
    /// C: `tramp_linked` in `struct bpf_prog_aux`
    pub(crate) fn mark_linked(&self) {
        // SAFETY: A loaded program has `aux`. All who write the flag write the same, and it is
        // read when there are no references any more.
        unsafe { (&raw mut (*self.get().aux).tramp_linked).write_volatile(true) };
    }

    /// The functions that the kernel chooses to enclose this program's run.
    pub(crate) fn run_guards(&self, _bound: Symbols) -> RunGuards {
        // SAFETY: `_bound` says that both calls are bound; the program is valid.
        let (enter, exit) = unsafe {
            (
                bindings::rf_bpf_trampoline_enter(self.0.get()),
                bindings::rf_bpf_trampoline_exit(self.0.get()),
            )
        };
        RunGuards {
            enter: to_u64(enter.map_or(0, |func| func as usize)),
            exit: to_u64(exit.map_or(0, |func| func as usize)),
        }
    }
}

/// A counted reference on a loaded program.
///
/// # Invariants
///
/// The pointer is valid and this value owns one count of the program's references.
pub(crate) struct BpfProg(NonNull<Prog>);

// SAFETY: A reference on a program may be dropped by another thread than the one that took it.
unsafe impl Send for BpfProg {}
// SAFETY: `Prog` is `Sync`.
unsafe impl Sync for BpfProg {}

impl BpfProg {
    /// Takes a reference on the tracing program behind a descriptor of the current task.
    ///
    /// # Errors
    ///
    /// `EBADF` if the descriptor is not open, `EINVAL` if it is not a BPF program or one of another
    /// program type.
    pub(crate) fn from_fd(fd: u32) -> Result<Self> {
        // SAFETY: Any number may be passed as a descriptor.
        let prog = from_err_ptr(unsafe {
            bindings::bpf_prog_get_type_dev(
                fd,
                bindings::bpf_prog_type_BPF_PROG_TYPE_TRACING,
                false,
            )
        })?;
        // INVARIANT: A successful call returns a valid program with a reference for the caller.
        NonNull::new(prog.cast()).map(Self).ok_or(EINVAL)
    }
}

impl Deref for BpfProg {
    type Target = Prog;

    fn deref(&self) -> &Prog {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for BpfProg {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, this value owns the reference that is put.
        unsafe { bindings::bpf_prog_put(self.as_ptr()) };
    }
}
