// SPDX-License-Identifier: GPL-2.0

//! Trampoline images and their life, from allocation to the end of the last grace period.
//!
//! C: `struct bpf_tramp_image` in `include/linux/bpf.h`, `bpf_tramp_image_put()` in
//! `kernel/bpf/trampoline.c`

mod fresh;
mod images;
mod retire;

use super::{
    bindings,
    code::SkipRecord,
    module_ref::ModuleRef,
    plan::Place,
    symbols::to_u64,
    text::ExecText,
    workqueue::OwnedQueue, //
};
use core::fmt::Write;
use kernel::{
    error::to_result,
    prelude::*,
    str::Formatter,
    sync::{
        Arc,
        Mutex, //
    },
    types::Opaque, //
};

pub(crate) use {
    fresh::{
        FilledImage,
        FreshImage, //
    },
    images::Images,
};

/// What an image is for.
pub(crate) struct Purpose<'a> {
    /// Name of the traced function.
    pub(crate) target: &'a CStr,
    /// Whether the image calls the traced function, so that a task can sleep in there.
    pub(crate) call_orig: bool,
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
    // Last: without it the module may be unloaded.
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
        let addr = start.expose_provenance();
        let im_size = size.try_into()?;
        // SAFETY: By the caller's promise. All fields may be zero. No other reference to `im` exists yet.
        let name = unsafe {
            im.write_bytes(0, 1);
            (*im).image = start;
            (*im).size = im_size;
            (*im).call_orig = purpose.call_orig;
            bindings::INIT_LIST_HEAD(&raw mut (*im).ksym.lnode);
            (*im).ksym.start = addr;
            (*im).ksym.end = addr.saturating_add(size as usize);
            &mut (*im).ksym.name
        };
        // One byte stays 0, for the end of the string; a longer name is cut.
        if let Some((_, text)) = name.split_last_mut() {
            let _ = Formatter::new(text)
                .write_fmt(fmt!("bpf_trampoline_rust_fsession_{}", purpose.target));
        }
        // SAFETY: `pcref` is zeroed and stays in place; `release()` fits it.
        to_result(unsafe {
            bindings::percpu_ref_init(
                &raw mut (*im).pcref,
                Some(Self::release),
                0,
                bindings::GFP_KERNEL,
            )
        })?;
        // SAFETY: There is no text without `Symbols`, so the call is bound; the rest as above. From
        // here on other CPUs write to the list nodes in `ksym`.
        unsafe { bindings::rf_bpf_image_ksym_add(&raw mut (*im).ksym) };
        Ok(())
    }

    /// Where the code runs, and the `struct bpf_tramp_image` that it passes to the kernel.
    pub(crate) fn place(&self) -> Place {
        Place {
            text: self.text.addr(),
            im: to_u64(self.im.get().expose_provenance()),
        }
    }

    /// The memory of the code.
    pub(crate) fn text(&self) -> &ExecText {
        &self.text
    }

    /// Patches all calls of the program at address `prog` out, the last one first: a session that
    /// is on its way out may lack a return, but never sees one whose entry it has not seen.
    fn skip(&self, prog: u64) -> Result {
        let mut skips = self.skips.lock();
        while let Some(at) = skips.iter().rposition(|skip| skip.prog == prog) {
            let skip = skips.remove(at).map_err(|_| EINVAL)?;
            if let Err(e) = self.text.patch_jump(skip.nop, skip.target) {
                pr_err!("cannot patch a program out of an image: {e:?}\n");
                return Err(e);
            }
        }
        Ok(())
    }
}

#[pinned_drop]
impl PinnedDrop for TrampImage {
    fn drop(self: Pin<&mut Self>) {
        let im = self.im.get();
        // SAFETY: The call is bound, as in `init_im()`. By the type invariants, `ksym` is listed,
        // `pcref` is live and no task is in the text. Readers of the list may use `ksym` for one more
        // RCU grace period.
        unsafe {
            bindings::rf_bpf_image_ksym_del(&raw mut (*im).ksym);
            bindings::synchronize_rcu();
            bindings::percpu_ref_exit(&raw mut (*im).pcref);
        }
    }
}
