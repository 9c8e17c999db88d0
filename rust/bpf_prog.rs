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

/// What the kernel chooses the guards of a tracing program by (`bpf_trampoline_enter()` in
/// `kernel/bpf/trampoline.c`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChosenBy {
    attach_type: bindings::bpf_attach_type,
    sleepable: bool,
}

/// A program, borrowed.
///
/// The kernel writes to some of its fields at any time, so that all are read one by one, through
/// the raw pointer.
///
/// # Invariants
///
/// The structure and its `aux` are initialised, as loading a program does it.
#[repr(transparent)]
pub(crate) struct Prog(Opaque<bindings::bpf_prog>);

// SAFETY: What `&self` reads does not change once a program is loaded.
unsafe impl Sync for Prog {}

impl Prog {
    pub(super) fn as_ptr(&self) -> *mut bindings::bpf_prog {
        self.0.get()
    }

    /// Address of the `struct bpf_prog`.
    pub(crate) fn addr(&self) -> u64 {
        to_u64(self.as_ptr().expose_provenance())
    }

    /// Address of the code that runs the program: its own, or the interpreter's.
    pub(crate) fn entry(&self) -> u64 {
        // SAFETY: By the type invariant; the field is constant after loading.
        let bpf_func = unsafe { (*self.as_ptr()).bpf_func };
        to_u64(bpf_func.map_or(0, |func| func as usize))
    }

    /// Address of the program's instructions, where an interpreter runs them.
    pub(crate) fn interpreted(&self) -> Option<u64> {
        // SAFETY: By the type invariant; of `insnsi` only the address is taken.
        let (jited, insnsi) = unsafe {
            (
                bindings::bpf_prog::jited_raw(self.as_ptr()),
                &raw const (*self.as_ptr()).__bindgen_anon_2,
            )
        };
        (jited == 0).then(|| to_u64(insnsi.expose_provenance()))
    }

    fn attach_type(&self) -> bindings::bpf_attach_type {
        // SAFETY: By the type invariant; the field is constant after loading.
        unsafe { (*self.as_ptr()).expected_attach_type }
    }

    /// The kind of program, `None` for those that have no trampoline or more than one target.
    pub(crate) fn kind(&self) -> Option<AttachKind> {
        match self.attach_type() {
            bindings::bpf_attach_type_BPF_TRACE_FENTRY => Some(AttachKind::Fentry),
            bindings::bpf_attach_type_BPF_TRACE_FEXIT => Some(AttachKind::Fexit),
            bindings::bpf_attach_type_BPF_MODIFY_RETURN => Some(AttachKind::ModifyReturn),
            bindings::bpf_attach_type_BPF_TRACE_FSESSION => Some(AttachKind::Fsession),
            _ => None,
        }
    }

    /// Whether the program calls `bpf_session_cookie()`.
    pub(crate) fn calls_session_cookie(&self) -> bool {
        // SAFETY: By the type invariant; the bit is constant after loading.
        unsafe { bindings::bpf_prog::call_session_cookie_raw(self.as_ptr()) != 0 }
    }

    /// Whether the program calls `bpf_get_func_ip()`.
    pub(crate) fn calls_get_func_ip(&self) -> bool {
        // SAFETY: By the type invariant; the bit is constant after loading.
        unsafe { bindings::bpf_prog::call_get_func_ip_raw(self.as_ptr()) != 0 }
    }

    /// Whether the program's target is a kernel function, not another BPF program.
    pub(crate) fn targets_kernel(&self) -> bool {
        // SAFETY: By the type invariant; `attach_btf` is constant after loading.
        unsafe { !(*(*self.as_ptr()).aux).attach_btf.is_null() }
    }

    /// Whether the program is a session, with one target or several.
    pub(crate) fn is_session(&self) -> bool {
        matches!(
            self.attach_type(),
            bindings::bpf_attach_type_BPF_TRACE_FSESSION
                | bindings::bpf_attach_type_BPF_TRACE_FSESSION_MULTI
        )
    }

    pub(super) fn arena(&self) -> *mut bindings::bpf_arena {
        // SAFETY: By the type invariant; `arena` is constant after loading.
        unsafe { (*(*self.as_ptr()).aux).arena }
    }

    /// Whether the program uses an arena.
    pub(crate) fn has_arena(&self) -> bool {
        !self.arena().is_null()
    }

    /// What the kernel chooses this program's guards by; `None` if it goes by more than that, as
    /// for programs that are no tracing programs.
    pub(crate) fn guards_chosen_by(&self) -> Option<ChosenBy> {
        // SAFETY: By the type invariant; both fields are constant after loading.
        let (prog_type, sleepable) = unsafe {
            (
                (*self.as_ptr()).type_,
                bindings::bpf_prog::sleepable_raw(self.as_ptr()) != 0,
            )
        };
        let attach_type = self.attach_type();
        (prog_type == bindings::bpf_prog_type_BPF_PROG_TYPE_TRACING).then_some(ChosenBy {
            attach_type,
            sleepable,
        })
    }

    /// The functions that the kernel chooses to enclose this program's run.
    pub(crate) fn run_guards(&self, _symbols: Symbols) -> RunGuards {
        // SAFETY: `_symbols` proves that both calls are bound; the program is valid.
        let (enter, exit) = unsafe {
            (
                bindings::rf_bpf_trampoline_enter(self.as_ptr()),
                bindings::rf_bpf_trampoline_exit(self.as_ptr()),
            )
        };
        RunGuards {
            enter: to_u64(enter.map_or(0, |func| func as usize)),
            exit: to_u64(exit.map_or(0, |func| func as usize)),
        }
    }
}

/// A counted reference on a loaded program, which no image calls.
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
