// SPDX-License-Identifier: GPL-2.0

//! Direct calls: a traced function's entry calls or jumps to an image without detour.
//!
//! C header: `include/linux/ftrace.h`

use super::{
    bindings,
    tramp_image::{
        FreshImage,
        TrampImage, //
    },
};
use core::{
    cell::UnsafeCell,
    mem::{
        self,
        ManuallyDrop, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc, //
};

/// How a function's entry reaches an image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// By a call: the return address into the function is on the stack.
    Call,
    /// By a jump: the image stands in for the function (`CONFIG_DYNAMIC_FTRACE_WITH_JMP`).
    Jump,
}

/// What ftrace calls a direct call: the address, its lowest bit set for a jump.
fn direct_addr(image: &TrampImage, entry: Entry) -> usize {
    match entry {
        Entry::Call => image.addr() as usize,
        Entry::Jump => image.addr() as usize | 1,
    }
}

/// The direct call of one function, removed on drop.
///
/// It decides who can reach an image: the image is retired as soon as no entry leads to it.
///
/// # Invariants
///
/// `ops` is registered with ftrace for `image`, entered as `entry` says.
pub(crate) struct DirectCall {
    ops: ManuallyDrop<KBox<UnsafeCell<bindings::ftrace_ops>>>,
    image: ManuallyDrop<Arc<TrampImage>>,
    entry: Entry,
}

// SAFETY: ftrace has its own locks; the operations may be changed from any thread.
unsafe impl Send for DirectCall {}

impl DirectCall {
    /// Makes the function at `target` enter `image`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the function has a direct call or an ftrace user that changes the instruction
    /// pointer (a live patch), `EINVAL` if there is no ftrace location, `ENOMEM`.
    pub(crate) fn register(target: u64, image: FreshImage, entry: Entry) -> Result<Self> {
        let ops = KBox::new(UnsafeCell::new(bindings::ftrace_ops::default()), GFP_KERNEL)?;
        let addr = direct_addr(&image, entry);
        // SAFETY: `ops` is zeroed, as it should be before its first filter is set, and stays where
        // it is until it is unregistered.
        to_result(unsafe { bindings::ftrace_set_filter_ip(ops.get(), target as usize, 0, 1) })
            // SAFETY: As above; `addr` is an image made to be entered so, and kept from now on.
            .and_then(|()| to_result(unsafe { bindings::register_ftrace_direct(ops.get(), addr) }))
            // SAFETY: `ops` is not registered.
            .inspect_err(|_| unsafe { bindings::ftrace_free_filter(ops.get()) })?;
        // INVARIANT: Registered just now.
        Ok(Self {
            ops: ManuallyDrop::new(ops),
            image: ManuallyDrop::new(image.publish()),
            entry,
        })
    }

    /// The image that the function enters.
    pub(crate) fn image(&self) -> &Arc<TrampImage> {
        &self.image
    }

    /// Makes the function enter another image and retires the old one.
    ///
    /// # Errors
    ///
    /// `ENOMEM` and other errors of ftrace; the old image stays in place.
    pub(crate) fn modify(&mut self, image: FreshImage, entry: Entry) -> Result {
        let addr = direct_addr(&image, entry);
        // SAFETY: By the type invariant, `ops` is registered; `addr` is as in `register()`.
        to_result(unsafe { bindings::modify_ftrace_direct(self.ops.get(), addr) })?;
        // INVARIANT: Registered for the new image.
        let old = mem::replace(&mut *self.image, image.publish());
        self.entry = entry;
        // SAFETY: No entry leads to the old image any more.
        unsafe { TrampImage::retire(old) };
        Ok(())
    }
}

impl Drop for DirectCall {
    fn drop(&mut self) {
        let addr = direct_addr(&self.image, self.entry);
        // SAFETY: By the type invariant.
        let ret = unsafe { bindings::unregister_ftrace_direct(self.ops.get(), addr, true) };
        if ret != 0 {
            // The entry may still lead to the image: better both lost than freed.
            pr_err!("ftrace kept a direct call: error {ret}\n");
            return;
        }
        // SAFETY: ftrace let go of both, no entry leads to the image any more, and neither is used
        // after this.
        unsafe {
            ManuallyDrop::drop(&mut self.ops);
            TrampImage::retire(ManuallyDrop::take(&mut self.image));
        }
    }
}
