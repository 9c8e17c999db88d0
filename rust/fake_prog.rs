// SPDX-License-Identifier: GPL-2.0

//! Programs that do not exist, for builders that only read their fields.

use super::{
    bindings,
    bpf_prog::{
        BpfProg,
        Prog, //
    },
};
use core::{
    mem,
    ptr, //
};
use kernel::{
    ffi::{
        c_uint,
        c_void, //
    },
    prelude::*, //
};

/// The kind of program to pretend.
#[derive(Clone, Copy)]
pub(crate) enum FakeKind {
    /// A tracing program before the function.
    Fentry,
    /// A tracing program after the function.
    Fexit,
    /// A tracing program with a say in whether the function runs.
    ModifyReturn,
    /// A session.
    Fsession,
    /// An LSM program.
    Lsm,
    /// An LSM program of a cgroup.
    LsmCgroup,
}

/// What a builder reads of a program.
#[derive(Clone, Copy)]
pub(crate) struct FakeSpec {
    pub(crate) kind: FakeKind,
    /// With the attach type for several targets, where the kind has one.
    pub(crate) multi: bool,
    /// Address of its code.
    pub(crate) entry: u64,
    pub(crate) session_cookie: bool,
    pub(crate) sleepable: bool,
    pub(crate) jited: bool,
}

/// Pretended programs. Builders read their fields, nothing runs them.
pub(crate) struct FakeProgs {
    progs: KVec<bindings::bpf_prog>,
    // The programs point to it.
    _aux: KBox<bindings::bpf_prog_aux>,
    // Keeps the arena that the programs pretend to use.
    _arena_owner: Option<BpfProg>,
}

impl FakeProgs {
    /// Pretends a program for each of `specs`, all with the arena of `arena_owner`, if there is one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        specs: impl Iterator<Item = FakeSpec>,
        arena_owner: Option<BpfProg>,
    ) -> Result<Self> {
        let mut aux = KBox::new(bindings::bpf_prog_aux::default(), GFP_KERNEL)?;
        if let Some(owner) = &arena_owner {
            aux.arena = owner.arena();
        }
        let mut progs = KVec::new();
        for spec in specs {
            progs.push(fake(spec, &mut aux), GFP_KERNEL)?;
        }
        Ok(Self {
            progs,
            _aux: aux,
            _arena_owner: arena_owner,
        })
    }

    /// The programs, in the order of their specs.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Prog> + Clone {
        self.progs.iter().map(|prog| {
            // SAFETY: `Prog` is a transparent wrapper. The fields that it reads are initialised,
            // and `aux` lives as long.
            unsafe { &*ptr::from_ref(prog).cast::<Prog>() }
        })
    }
}

/// The type of a program's code.
type BpfFunc = Option<unsafe extern "C" fn(*const c_void, *const bindings::bpf_insn) -> c_uint>;

fn fake(spec: FakeSpec, aux: &mut bindings::bpf_prog_aux) -> bindings::bpf_prog {
    use bindings::{
        bpf_attach_type_BPF_LSM_CGROUP as LSM_CGROUP,
        bpf_attach_type_BPF_LSM_MAC as LSM_MAC,
        bpf_attach_type_BPF_MODIFY_RETURN as MODIFY_RETURN,
        bpf_attach_type_BPF_TRACE_FENTRY as FENTRY,
        bpf_attach_type_BPF_TRACE_FENTRY_MULTI as FENTRY_MULTI,
        bpf_attach_type_BPF_TRACE_FEXIT as FEXIT,
        bpf_attach_type_BPF_TRACE_FEXIT_MULTI as FEXIT_MULTI,
        bpf_attach_type_BPF_TRACE_FSESSION as FSESSION,
        bpf_attach_type_BPF_TRACE_FSESSION_MULTI as FSESSION_MULTI,
        bpf_prog_type_BPF_PROG_TYPE_LSM as LSM,
        bpf_prog_type_BPF_PROG_TYPE_TRACING as TRACING, //
    };

    let (prog_type, attach_type) = match (spec.kind, spec.multi) {
        (FakeKind::Fentry, false) => (TRACING, FENTRY),
        (FakeKind::Fentry, true) => (TRACING, FENTRY_MULTI),
        (FakeKind::Fexit, false) => (TRACING, FEXIT),
        (FakeKind::Fexit, true) => (TRACING, FEXIT_MULTI),
        (FakeKind::ModifyReturn, _) => (TRACING, MODIFY_RETURN),
        (FakeKind::Fsession, false) => (TRACING, FSESSION),
        (FakeKind::Fsession, true) => (TRACING, FSESSION_MULTI),
        (FakeKind::Lsm, _) => (LSM, LSM_MAC),
        (FakeKind::LsmCgroup, _) => (LSM, LSM_CGROUP),
    };
    let mut prog = bindings::bpf_prog {
        type_: prog_type,
        expected_attach_type: attach_type,
        aux,
        // SAFETY: The function pointer is never called, so that any number may stand in it; 0 is `None`.
        bpf_func: unsafe { mem::transmute::<usize, BpfFunc>(spec.entry as usize) },
        ..Default::default()
    };
    prog.set_jited(spec.jited.into());
    prog.set_sleepable(spec.sleepable.into());
    prog.set_call_session_cookie(spec.session_cookie.into());
    prog
}
