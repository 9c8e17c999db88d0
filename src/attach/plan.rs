// SPDX-License-Identifier: GPL-2.0

//! What a set of programs asks of an image.
//!
//! C: `bpf_trampoline_update()` and `bpf_trampoline_get_progs()` in `kernel/bpf/trampoline.c`

use super::program::Attached;
use crate::{
    builder::{
        Flags,
        Programs, //
    },
    kapi::{
        bpf_prog::AttachKind,
        c_builder::{
            Entry,
            List, //
        },
        features,
        ftrace, //
    },
    lists::Lists,
    platform::Platform,
};
use kernel::prelude::*;

/// The lists in which a program of this kind stands.
fn lists(kind: AttachKind) -> &'static [List] {
    match kind {
        AttachKind::Fentry => &[List::Fentry],
        AttachKind::Fexit => &[List::Fexit],
        AttachKind::ModifyReturn => &[List::ModifyReturn],
        AttachKind::Fsession => &[List::Fentry, List::Fexit],
    }
}

/// All entries of all lists. The kernel adds to the head of a list: the newest program runs first.
pub(super) fn entries(programs: &[Attached]) -> impl Iterator<Item = Entry<'_>> + Clone {
    programs.iter().rev().flat_map(|attached| {
        let lists = lists(attached.kind).iter();
        lists.map(move |&list| (list, &*attached.prog, attached.bpf_cookie))
    })
}

/// The flags and lists of an image.
pub(super) struct Plan {
    pub(super) flags: Flags,
    pub(super) lists: Lists,
}

impl Plan {
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(programs: &[Attached], platform: &Platform) -> Result<Self> {
        let lists = Lists::new(entries(programs), platform)?;
        let Programs {
            fexit, fmod_ret, ..
        } = lists.programs();

        let mut flags = if fexit.is_empty() && fmod_ret.is_empty() {
            Flags::RESTORE_REGS
        } else if features::JMP_ENTRY {
            Flags::CALL_ORIG
        } else {
            Flags::CALL_ORIG | Flags::SKIP_FRAME
        };
        if programs
            .iter()
            .any(|attached| attached.prog.calls_get_func_ip())
        {
            flags = flags | Flags::IP_ARG;
        }
        Ok(Self { flags, lists })
    }

    /// Whether the image calls the traced function.
    pub(super) fn call_orig(&self) -> bool {
        self.flags.contains(Flags::CALL_ORIG)
    }

    /// How the traced function enters the image.
    ///
    /// C: `bpf_trampoline_use_jmp()` in `include/linux/bpf.h`
    pub(super) fn entry(&self) -> ftrace::Entry {
        if features::JMP_ENTRY && self.call_orig() && !self.flags.contains(Flags::SKIP_FRAME) {
            ftrace::Entry::Jump
        } else {
            ftrace::Entry::Call
        }
    }
}
