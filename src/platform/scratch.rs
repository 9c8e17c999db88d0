// SPDX-License-Identifier: GPL-2.0

//! Memory to build images in.

use crate::{
    builder::{
        Draft,
        Marks,
        Program,
        Skip,
        MAX_LINKS, //
    },
    kapi::{
        features,
        plan::PlanKey, //
    },
};
use core::ops::{
    Deref,
    DerefMut, //
};
use kernel::{
    alloc::AllocError,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        lock::{
            mutex::MutexBackend,
            Guard, //
        },
        Mutex, //
    },
};

/// What one image takes while it is built.
pub(crate) struct Memory {
    /// The programs, described.
    pub(crate) programs: KVec<Program>,
    /// A page of code.
    pub(crate) code: KVec<u8>,
    /// [`MAX_LINKS`] records.
    pub(crate) skips: KVec<Skip>,
    /// What the code lacks.
    pub(crate) draft: KBox<Draft>,
    /// The draft that is there, if it was made to be measured.
    pub(crate) measured: Option<Measured>,
}

impl Memory {
    fn new() -> core::result::Result<Self, AllocError> {
        Ok(Self {
            programs: KVec::with_capacity(MAX_LINKS, GFP_KERNEL)?,
            code: KVec::from_elem(0, features::PAGE_SIZE, GFP_KERNEL)?,
            skips: KVec::from_elem(Skip::default(), MAX_LINKS, GFP_KERNEL)?,
            draft: KBox::new(Draft::default(), GFP_KERNEL)?,
            measured: None,
        })
    }
}

/// A draft that was made to be measured: its bytes, programs and records are in the [`Memory`].
///
/// The kernel measures an image and builds it right afterwards.
pub(crate) struct Measured {
    /// What it is made for, but for the programs.
    pub(crate) key: PlanKey,
    pub(crate) marks: Marks,
    /// As [`Scratches::epoch()`] said before.
    pub(crate) epoch: u64,
}

/// Memory for one image at a time, used again and again: to allocate and fill it costs more than to
/// build most images.
#[pin_data]
pub(crate) struct Scratches {
    #[pin]
    kept: Mutex<Memory>,
    epoch: Atomic<u64>,
}

impl Scratches {
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Pin<KBox<Self>>> {
        let memory = Memory::new()?;
        KBox::pin_init(
            pin_init!(Self {
                kept <- new_mutex!(memory),
                epoch: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// The memory, or a piece of its own for who comes while somebody else uses that: nobody waits.
    ///
    /// # Errors
    ///
    /// [`AllocError`]
    pub(crate) fn take(&self) -> core::result::Result<Scratch<'_>, AllocError> {
        Ok(match self.kept.try_lock() {
            Some(kept) => Scratch::Kept(kept),
            None => Scratch::Own(KBox::new(Memory::new()?, GFP_KERNEL)?),
        })
    }

    /// Makes all drafts so far invalid.
    ///
    /// A draft is of no use to programs that were loaded later, should they lie where its own did. It
    /// never meets any: whoever has an image built has it measured before, and that makes another
    /// draft, or all of them invalid. What was measured before the hooks were installed becomes so
    /// then.
    pub(crate) fn forget(&self) {
        self.epoch.fetch_add(1, Full);
    }

    /// A number that changes when drafts become invalid.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }
}

/// Memory to build an image in.
pub(crate) enum Scratch<'a> {
    Kept(Guard<'a, Memory, MutexBackend>),
    Own(KBox<Memory>),
}

impl Deref for Scratch<'_> {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        match self {
            Self::Kept(memory) => memory,
            Self::Own(memory) => memory,
        }
    }
}

impl DerefMut for Scratch<'_> {
    fn deref_mut(&mut self) -> &mut Memory {
        match self {
            Self::Kept(memory) => memory,
            Self::Own(memory) => memory,
        }
    }
}
