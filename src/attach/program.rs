// SPDX-License-Identifier: GPL-2.0

//! A program on a trampoline.

use crate::kapi::{
    bpf_prog::{
        AttachKind,
        BpfProg, //
    },
    linked_prog::LinkedProg,
    plan::{
        List,
        Node, //
    },
    tramp_image::Images,
};
use kernel::sync::Arc;

/// The lists of a trampoline on which a program of this kind stands.
fn lists(kind: AttachKind) -> &'static [List] {
    match kind {
        AttachKind::Fentry => &[List::Fentry],
        AttachKind::Fexit => &[List::Fexit],
        AttachKind::ModifyReturn => &[List::ModifyReturn],
        AttachKind::Fsession => &[List::Fentry, List::Fexit],
    }
}

/// How many of a trampoline's links a program of this kind takes.
pub(super) fn links(kind: AttachKind) -> usize {
    lists(kind).len()
}

/// An attached program with its BPF cookie. Dropping it detaches it.
pub(super) struct Attached {
    pub(super) prog: LinkedProg,
    pub(super) kind: AttachKind,
    bpf_cookie: u64,
}

impl Attached {
    /// Attaches `prog`, which is not attached here, to the images to come.
    pub(super) fn new(
        prog: BpfProg,
        kind: AttachKind,
        bpf_cookie: u64,
        images: Arc<Images>,
    ) -> Self {
        Self {
            prog: LinkedProg::new(prog, images),
            kind,
            bpf_cookie,
        }
    }

    /// The program on each of its lists.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_, BpfProg>> + Clone {
        lists(self.kind).iter().map(|&list| Node {
            list,
            prog: &*self.prog,
            cookie: self.bpf_cookie,
        })
    }
}
