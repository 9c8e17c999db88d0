// SPDX-License-Identifier: GPL-2.0

//! A workqueue of the module's own.
//!
//! C header: `include/linux/workqueue.h`

use super::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

/// A workqueue that is flushed and destroyed on drop, so that no work function of this module is
/// still running when the module is gone.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above, and by several at once.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Creates an unbound queue, named in the kernel's listings.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The format takes one string, which is given and NUL-terminated.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                0,
                name.as_char_ptr(),
            )
        };
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }

    /// Queues initialised work. Can be called from any context.
    ///
    /// # Safety
    ///
    /// `work` must be initialised, must not be pending, and must live until its function runs.
    pub(super) unsafe fn enqueue(&self, work: *mut bindings::work_struct) {
        // SAFETY: The queue is live as long as `self`; the caller promises the rest.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as kernel::ffi::c_int,
                self.0.as_ptr(),
                work,
            )
        };
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: `new()` made the queue, and without `self` no more work is queued.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
