// SPDX-License-Identifier: GPL-2.0

//! A program on a trampoline.

use crate::kapi::bpf_prog::{
    AttachKind,
    BpfProg, //
};
use kernel::prelude::*;

/// An attached program with its BPF cookie.
pub(super) struct Attached {
    pub(super) prog: BpfProg,
    pub(super) kind: AttachKind,
    pub(super) bpf_cookie: u64,
}

impl Attached {
    /// # Errors
    ///
    /// `EINVAL` if the program is of a kind without trampoline or with more than one target.
    pub(super) fn new(prog: BpfProg, bpf_cookie: u64) -> Result<Self> {
        let kind = prog.kind().ok_or(EINVAL)?;
        prog.mark_linked();
        Ok(Self {
            prog,
            kind,
            bpf_cookie,
        })
    }

    /// How many of the places on a trampoline it takes.
    pub(super) fn links(&self) -> usize {
        match self.kind {
            AttachKind::Fsession => 2,
            _ => 1,
        }
    }
}
