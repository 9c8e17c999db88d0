// SPDX-License-Identifier: GPL-2.0

//! Images that no entry leads to yet.

use super::{
    Images,
    Purpose,
    TrampImage, //
};
use crate::kapi::{
    bindings,
    code::{
        skip_records,
        Image,
        Runnable, //
    },
    ftrace::EntryInsn,
    module_ref::ModuleRef,
    text::ExecText,
    workqueue::OwnedQueue, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// An image whose text may still be written: no task can be in it. Freed on drop.
pub(crate) struct FreshImage(ManuallyDrop<Arc<TrampImage>>);

impl FreshImage {
    /// Makes an image of `text`, named in kallsyms and listed in `images`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        text: ExecText,
        purpose: &Purpose<'_>,
        images: &Arc<Images>,
        queue: &Arc<OwnedQueue>,
        module: ModuleRef,
    ) -> Result<Self> {
        let start = text.as_ptr();
        let size = text.size();
        // INVARIANT: `init_im()` does what the invariant asks for.
        let image = Arc::pin_init(
            try_pin_init!(TrampImage {
                skips <- new_mutex!(KVec::new()),
                images: images.clone(),
                queue: queue.clone(),
                text,
                _module: module,
                im <- Opaque::try_ffi_init(|im| {
                    // SAFETY: `im` is the field, to be initialised, at its final place.
                    unsafe { TrampImage::init_im(im, start, size, purpose) }
                }),
            }),
            GFP_KERNEL,
        )?;
        images.insert(&image)?;
        Ok(Self(ManuallyDrop::new(image)))
    }

    /// Fills the image with `built`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `built` must not run, is built for another place or is larger than the text;
    /// `ENOMEM`.
    pub(crate) fn fill(mut self, built: &Image<'_>) -> Result<FilledImage> {
        if !built.plan().is_real() || built.place() != self.place() {
            return Err(EINVAL);
        }
        let skips = skip_records(built.skips())?;
        // SAFETY: What `Image` holds may run, it is made for this place, and no task is in there.
        unsafe { self.text.write(built.bytes())? };
        *self.skips.lock() = skips;
        let im = self.im();
        // SAFETY: By the type invariant `im` is initialised; these fields are read where the text
        // is found in a stack trace, and no task can be there yet.
        unsafe { ((*im).ksym.fp_start, (*im).ksym.fp_end) = built.fp() };
        let mut this = ManuallyDrop::new(self);
        Ok(FilledImage {
            // SAFETY: `this` is neither used after this nor dropped.
            image: ManuallyDrop::new(unsafe { ManuallyDrop::take(&mut this.0) }),
            func: built.plan().func(),
            entry: EntryInsn::of_image(built.plan().flags()),
        })
    }

    pub(in super::super) fn im(&mut self) -> *mut bindings::bpf_tramp_image {
        self.0.im.get()
    }
}

impl Deref for FreshImage {
    type Target = TrampImage;

    fn deref(&self) -> &TrampImage {
        &self.0
    }
}

impl Drop for FreshImage {
    fn drop(&mut self) {
        // SAFETY: `self.0` is not used after this.
        Images::free(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// An image that the function it was built for may enter. On drop, it is freed once no task is in
/// it.
pub(crate) struct FilledImage {
    image: ManuallyDrop<Arc<TrampImage>>,
    func: u64,
    entry: EntryInsn,
}

impl FilledImage {
    /// Address of the function that may enter the image.
    pub(crate) fn func(&self) -> u64 {
        self.func
    }

    /// The instruction by which it does.
    pub(crate) fn entry(&self) -> EntryInsn {
        self.entry
    }
}

impl Deref for FilledImage {
    type Target = TrampImage;

    fn deref(&self) -> &TrampImage {
        &self.image
    }
}

impl Drop for FilledImage {
    fn drop(&mut self) {
        // SAFETY: `self.image` is not used after this. The owner of a direct call to the image
        // removes it first, or keeps the image for ever.
        unsafe { TrampImage::retire(ManuallyDrop::take(&mut self.image)) };
    }
}
