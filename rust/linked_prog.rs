// SPDX-License-Identifier: GPL-2.0

//! Programs that images call.
//!
//! C: `bpf_trampoline_unlink_prog()` in `kernel/bpf/trampoline.c`

use super::{
    bpf_prog::BpfProg,
    tramp_image::Images, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A program that the images of a trampoline may call. Dropping it patches the program out of every
/// one of them, and puts the reference once no task can enter the program any more.
pub(crate) struct LinkedProg {
    prog: ManuallyDrop<BpfProg>,
    images: Arc<Images>,
}

impl LinkedProg {
    /// Links `prog` to `images`.
    ///
    /// C: `tramp_linked` in `struct bpf_prog_aux`: when the program's last reference is put, its
    /// memory stays until no task can enter it from an image.
    pub(crate) fn new(prog: BpfProg, images: Arc<Images>) -> Self {
        // SAFETY: A loaded program has `aux`. All writers of the flag write the same value, and it
        // is read when there are no references any more.
        unsafe { (&raw mut (*(*prog.as_ptr()).aux).tramp_linked).write_volatile(true) };
        Self {
            prog: ManuallyDrop::new(prog),
            images,
        }
    }
}

impl Deref for LinkedProg {
    type Target = BpfProg;

    fn deref(&self) -> &BpfProg {
        &self.prog
    }
}

impl Drop for LinkedProg {
    fn drop(&mut self) {
        if let Err(e) = self.images.skip(self.prog.addr()) {
            pr_err!("a program stays loaded, an image still calls it: {e:?}\n");
            return;
        }
        // SAFETY: `self.prog` is not used after this.
        unsafe { ManuallyDrop::drop(&mut self.prog) };
    }
}
