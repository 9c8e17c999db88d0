// SPDX-License-Identifier: GPL-2.0

//! The end of a trampoline image: the grace periods between the last entry and freeing it.
//!
//! C: `bpf_tramp_image_put()` in `kernel/bpf/trampoline.c`

use super::{
    Images,
    TrampImage, //
};
use crate::kapi::bindings;
use kernel::{
    container_of,
    sync::Arc,
    types::Opaque, //
};

impl TrampImage {
    /// Frees an image that no entry leads to any more, once no task is in it.
    ///
    /// Tasks may be in four places, and each is waited for, as the kernel does it for its own:
    /// in the first instructions or in a program of an image that does not call the function
    /// (tasks RCU, and tasks-trace RCU for sleepable programs); in the function or a program of
    /// one that does (`pcref`, which the image's code counts); in the last instructions (tasks
    /// RCU again).
    ///
    /// # Safety
    ///
    /// No direct call may lead to the image, now and later.
    pub(super) unsafe fn retire(image: Arc<Self>) {
        // SAFETY: Reading a flag that does not change.
        let call_orig = unsafe { (*image.im.get()).call_orig };
        // The reference is taken back by `free()`.
        let im = image.im.get();
        let _ = Arc::into_raw(image);
        // SAFETY: `im` lives as long as the reference; nothing else uses its RCU head.
        unsafe {
            let rcu = &raw mut (*im).__bindgen_anon_1.rcu;
            if call_orig {
                bindings::rf_call_rcu_tasks(rcu, Some(Self::after_entry));
            } else {
                bindings::rf_call_rcu_tasks_trace(rcu, Some(Self::after_entry));
            }
        }
    }

    /// # Safety
    ///
    /// `rcu` must be that of an image that `retire()` was called for.
    unsafe extern "C" fn after_entry(rcu: *mut bindings::callback_head) {
        // SAFETY: By the caller's promise; the head lies in the union of `bpf_tramp_image`.
        unsafe {
            let im = Self::im_of_rcu(rcu);
            if (*im).call_orig {
                bindings::percpu_ref_kill_and_confirm(&raw mut (*im).pcref, None);
            } else {
                bindings::rf_call_rcu_tasks(rcu, Some(Self::after_exit));
            }
        }
    }

    /// # Safety
    ///
    /// `pcref` must be that of an image whose `after_entry()` has run.
    pub(super) unsafe extern "C" fn release(pcref: *mut bindings::percpu_ref) {
        // SAFETY: By the caller's promise.
        unsafe {
            let im = container_of!(pcref, bindings::bpf_tramp_image, pcref);
            let rcu = &raw mut (*im).__bindgen_anon_1.rcu;
            bindings::rf_call_rcu_tasks(rcu, Some(Self::after_exit));
        }
    }

    /// # Safety
    ///
    /// As for `after_entry()`.
    unsafe extern "C" fn after_exit(rcu: *mut bindings::callback_head) {
        // SAFETY: By the caller's promise. The head is not used any more, so that the union can
        // hold the work; freeing may sleep, which a callback may not.
        unsafe {
            let im = Self::im_of_rcu(rcu);
            let work = &raw mut (*im).__bindgen_anon_1.work;
            bindings::rf_init_work(work, Some(Self::free));
            let image = container_of!(Opaque::cast_from(im), Self, im);
            (*image).queue.enqueue(work);
        }
    }

    /// # Safety
    ///
    /// `work` must be that of an image whose `after_exit()` has run.
    unsafe extern "C" fn free(work: *mut bindings::work_struct) {
        // SAFETY: By the caller's promise, and `retire()` left its reference.
        let image = unsafe {
            let im = Self::im_of_rcu(work.cast());
            Arc::from_raw(container_of!(Opaque::cast_from(im), Self, im))
        };
        Images::free(image);
    }

    /// # Safety
    ///
    /// `rcu` must point at the union in a `struct bpf_tramp_image`.
    unsafe fn im_of_rcu(rcu: *mut bindings::callback_head) -> *mut bindings::bpf_tramp_image {
        let anon: *mut bindings::bpf_tramp_image__bindgen_ty_1 = rcu.cast();
        // SAFETY: By the caller's promise.
        unsafe { container_of!(anon, bindings::bpf_tramp_image, __bindgen_anon_1) }
    }
}
