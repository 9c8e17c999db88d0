// SPDX-License-Identifier: GPL-2.0

//! Trampoline images and their life, from allocation to the end of the last grace period.
//!
//! C: `struct bpf_tramp_image` in `include/linux/bpf.h`, `bpf_tramp_image_put()` in
//! `kernel/bpf/trampoline.c`

mod retire;

use super::{
    bindings,
    module_ref::ModuleRef,
    symbols::to_u64,
    text::ExecText,
    workqueue::OwnedQueue, //
};
use core::{
    fmt::Write,
    mem::ManuallyDrop,
    ops::Deref,
    ptr, //
};
use kernel::{
    error::to_result,
    new_mutex,
    prelude::*,
    str::Formatter,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

/// A program call in an image, and the jump over it that detaching the program puts there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SkipRecord {
    /// Address of the `struct bpf_prog`.
    pub(crate) prog: u64,
    /// Address of the 5-byte nop in front of the call.
    pub(crate) nop: u64,
    /// Address right behind the call.
    pub(crate) target: u64,
}

impl From<&bindings::bpf_tramp_skip> for SkipRecord {
    fn from(skip: &bindings::bpf_tramp_skip) -> Self {
        Self {
            prog: to_u64(skip.prog.expose_provenance()),
            nop: to_u64(skip.nop.expose_provenance()),
            target: to_u64(skip.target.expose_provenance()),
        }
    }
}

impl From<&SkipRecord> for bindings::bpf_tramp_skip {
    fn from(skip: &SkipRecord) -> Self {
        Self {
            prog: ptr::with_exposed_provenance_mut(skip.prog as usize),
            nop: ptr::with_exposed_provenance_mut(skip.nop as usize),
            target: ptr::with_exposed_provenance_mut(skip.target as usize),
        }
    }
}

/// What an image is made for.
pub(crate) struct Purpose<'a> {
    /// Name of the traced function.
    pub(crate) target: &'a CStr,
    /// Whether the image calls the traced function, so that a task can sleep in there.
    pub(crate) call_orig: bool,
}

/// All images of one trampoline that are not freed yet: the current one, and older ones that tasks
/// may still be in.
#[pin_data]
pub(crate) struct Images {
    #[pin]
    live: Mutex<KVec<Arc<TrampImage>>>,
}

impl Images {
    /// A list of none.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { live <- new_mutex!(KVec::new()) })
    }

    fn insert(&self, image: &Arc<TrampImage>) -> Result {
        Ok(self.live.lock().push(image.clone(), GFP_KERNEL)?)
    }

    fn remove(&self, image: &Arc<TrampImage>) {
        self.live.lock().retain(|other| !Arc::ptr_eq(other, image));
    }

    /// Waits until all images are freed, but not longer than tasks need that run: one may sleep in
    /// the traced function for as long as it likes.
    pub(crate) fn wait_for_running_tasks(&self) {
        const STEP_MS: i64 = 10;
        const MOST_MS: i64 = 2000;

        for _ in 0..MOST_MS / STEP_MS {
            if self.live.lock().is_empty() {
                return;
            }
            fsleep(Delta::from_millis(STEP_MS));
        }
    }

    /// Patches the program at address `prog` out of every image: no task enters it from now on.
    pub(crate) fn skip(&self, prog: u64) {
        for image in self.live.lock().iter() {
            image.skip(prog);
        }
    }
}

/// An image: the kernel's own structure, which the image's code refers to, and its text.
///
/// # Invariants
///
/// - `im` is initialised with a live `pcref` and a `ksym` that the kernel lists.
/// - Tasks can be in `text` only from the time that a direct call leads there until the end of the
///   grace periods that `retire()` starts; the latter hold a reference on the image.
#[pin_data(PinnedDrop)]
pub(crate) struct TrampImage {
    #[pin]
    skips: Mutex<KVec<SkipRecord>>,
    images: Arc<Images>,
    queue: Arc<OwnedQueue>,
    text: ExecText,
    #[pin]
    im: Opaque<bindings::bpf_tramp_image>,
    // Last, for it lets the module go.
    _module: ModuleRef,
}

// SAFETY: The parts may be used from any thread; `im` belongs to the kernel, which locks it.
unsafe impl Send for TrampImage {}
// SAFETY: As above.
unsafe impl Sync for TrampImage {}

impl TrampImage {
    /// # Safety
    ///
    /// `im` must be writable memory that is not moved afterwards, and `start` text of `size` bytes
    /// that lives as long.
    unsafe fn init_im(
        im: *mut bindings::bpf_tramp_image,
        start: *mut kernel::ffi::c_void,
        size: u32,
        purpose: &Purpose<'_>,
    ) -> Result {
        // SAFETY: By the caller's promise. All fields may be zero.
        let im_ref = unsafe {
            im.write_bytes(0, 1);
            &mut *im
        };
        im_ref.image = start;
        im_ref.size = size.try_into()?;
        im_ref.call_orig = purpose.call_orig;
        // SAFETY: The list head is initialised in place and stays there.
        unsafe { bindings::INIT_LIST_HEAD(&mut im_ref.ksym.lnode) };
        im_ref.ksym.start = start.expose_provenance();
        im_ref.ksym.end = start.expose_provenance().saturating_add(size as usize);
        let name = &mut im_ref.ksym.name;
        // One byte stays 0, for the end of the string; a longer name is cut.
        if let Some((_, text)) = name.split_last_mut() {
            let _ = Formatter::new(text)
                .write_fmt(fmt!("bpf_trampoline_rust_fsession_{}", purpose.target));
        }
        // SAFETY: `pcref` is zeroed and stays in place; `release()` fits it.
        to_result(unsafe {
            bindings::percpu_ref_init(
                &mut im_ref.pcref,
                Some(Self::release),
                0,
                bindings::GFP_KERNEL,
            )
        })?;
        // SAFETY: There is no text without `Symbols`, so the call is bound; the rest as above.
        unsafe { bindings::rf_bpf_image_ksym_add(&mut im_ref.ksym) };
        Ok(())
    }

    /// Address of the code.
    pub(crate) fn addr(&self) -> u64 {
        self.text.addr()
    }

    /// Address of the `struct bpf_tramp_image`, which the code passes to the kernel.
    pub(crate) fn im_addr(&self) -> u64 {
        to_u64(self.im.get().expose_provenance())
    }

    /// The memory of the code.
    pub(crate) fn text(&self) -> &ExecText {
        &self.text
    }

    /// Patches all calls of the program at address `prog` out, the last one first: a session that
    /// is on its way out may lack a return, but never sees one whose entry it has not seen.
    fn skip(&self, prog: u64) {
        let mut skips = self.skips.lock();
        for skip in skips.iter().rev().filter(|skip| skip.prog == prog) {
            if let Err(e) = self.text.patch_jump(skip.nop, skip.target) {
                pr_err!("cannot patch a program out of an image: {e:?}\n");
            }
        }
        skips.retain(|skip| skip.prog != prog);
    }
}

#[pinned_drop]
impl PinnedDrop for TrampImage {
    fn drop(self: Pin<&mut Self>) {
        let im = self.im.get();
        // SAFETY: The call is bound, as in `init_im()`. By the type invariants, `ksym` is listed,
        // `pcref` is live and no task is in the text. Readers of the list may look at `ksym` for an
        // RCU grace period more.
        unsafe {
            bindings::rf_bpf_image_ksym_del(&raw mut (*im).ksym);
            bindings::synchronize_rcu();
            bindings::percpu_ref_exit(&raw mut (*im).pcref);
        }
    }
}

/// An image that no entry leads to yet, and that may therefore still be written.
///
/// Dropped as such, it is withdrawn.
pub(crate) struct FreshImage(ManuallyDrop<Arc<TrampImage>>);

impl FreshImage {
    /// Makes an image of `text`, named in kallsyms and listed in `images`. No task can be in it.
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

    /// Fills the image. `fp` is where the frame pointer is set up and taken down, in bytes from
    /// the start.
    ///
    /// # Errors
    ///
    /// Those of [`ExecText::write()`].
    pub(crate) fn fill(
        &mut self,
        code: &mut [u8],
        skips: KVec<SkipRecord>,
        fp: (u32, u32),
    ) -> Result {
        self.text.write(code)?;
        *self.skips.lock() = skips;
        let im = self.im();
        // SAFETY: By the type invariant `im` is initialised; readers of the two fields look at
        // them when they find the text in a stack trace, where no task can be yet.
        unsafe {
            (*im).ksym.fp_start = fp.0;
            (*im).ksym.fp_end = fp.1;
        }
        Ok(())
    }

    pub(super) fn im(&mut self) -> *mut bindings::bpf_tramp_image {
        self.0.im.get()
    }

    /// Gives the image to whoever lets tasks enter it.
    pub(super) fn publish(self) -> Arc<TrampImage> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used after this, nor dropped.
        unsafe { ManuallyDrop::take(&mut this.0) }
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
        let image = unsafe { ManuallyDrop::take(&mut self.0) };
        image.images.remove(&image);
    }
}
