// SPDX-License-Identifier: GPL-2.0

//! The programs of a trampoline, from the kernel's form to the builder's.

use crate::{
    builder::{
        Program,
        Programs, //
    },
    kapi::c_builder::{
        Entry,
        List, //
    },
    platform::Platform,
};
use kernel::prelude::*;

/// The described programs, each list in the order in which they run.
pub(crate) struct Lists {
    fentry: KVec<Program>,
    fmod_ret: KVec<Program>,
    fexit: KVec<Program>,
}

impl Lists {
    /// Describes all entries.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new<'a>(
        entries: impl Iterator<Item = Entry<'a>>,
        platform: &Platform,
    ) -> Result<Self> {
        let mut lists = Self {
            fentry: KVec::new(),
            fmod_ret: KVec::new(),
            fexit: KVec::new(),
        };
        for (list, prog, bpf_cookie) in entries {
            let list = match list {
                List::Fentry => &mut lists.fentry,
                List::ModifyReturn => &mut lists.fmod_ret,
                List::Fexit => &mut lists.fexit,
            };
            list.push(platform.describe(prog, bpf_cookie), GFP_KERNEL)?;
        }
        Ok(lists)
    }

    /// The lists for the builder.
    pub(crate) fn programs(&self) -> Programs<'_> {
        Programs {
            fentry: &self.fentry,
            fmod_ret: &self.fmod_ret,
            fexit: &self.fexit,
        }
    }

    /// How many skip records their image has.
    pub(crate) fn len(&self) -> usize {
        self.fentry.len() + self.fmod_ret.len() + self.fexit.len()
    }
}
