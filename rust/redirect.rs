// SPDX-License-Identifier: GPL-2.0

//! Redirections: a kernel function's callers reach another function in its place.
//!
//! Calls from this module go through to the kernel's function.
//!
//! C header: `include/linux/ftrace.h`, as live patching uses it

use super::bindings;
use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop, //
};
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*, //
};

/// A redirection, undone on drop. Callers may still be in the replacement afterwards.
///
/// # Invariants
///
/// `ops` is registered with ftrace.
pub(super) struct Redirect {
    ops: ManuallyDrop<KBox<UnsafeCell<bindings::ftrace_ops>>>,
}

// SAFETY: ftrace has its own locks.
unsafe impl Send for Redirect {}
// SAFETY: There is nothing to do with `&self`.
unsafe impl Sync for Redirect {}

impl Redirect {
    /// Redirects the callers of the function at address `from`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the function is patched by someone else, `EINVAL` if ftrace does not know it,
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `to` must be a function of the same type, good for every caller of the original, as long as
    /// the redirection lasts and until no caller is in there any more.
    pub(super) unsafe fn new(from: usize, to: *mut c_void) -> Result<Self> {
        let ops = bindings::ftrace_ops {
            func: Some(bindings::rf_redirect),
            flags: usize::try_from(
                bindings::FTRACE_OPS_FL_SAVE_REGS
                    | bindings::FTRACE_OPS_FL_IPMODIFY
                    | bindings::FTRACE_OPS_FL_RECURSION,
            )?,
            private: to,
            ..Default::default()
        };
        let ops = KBox::new(UnsafeCell::new(ops), GFP_KERNEL)?;
        // SAFETY: `ops` is new and stays where it is until it is unregistered.
        to_result(unsafe { bindings::ftrace_set_filter_ip(ops.get(), from, 0, 1) })
            // SAFETY: As above; the caller vouches for the replacement.
            .and_then(|()| to_result(unsafe { bindings::register_ftrace_function(ops.get()) }))
            // SAFETY: `ops` is not registered.
            .inspect_err(|_| unsafe { bindings::ftrace_free_filter(ops.get()) })?;
        // INVARIANT: Registered just now.
        Ok(Self {
            ops: ManuallyDrop::new(ops),
        })
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        let ret = unsafe { bindings::unregister_ftrace_function(self.ops.get()) };
        if ret != 0 {
            // ftrace may still refer to it: better lost than freed.
            pr_err!("ftrace kept a redirection: error {ret}\n");
            return;
        }
        // SAFETY: Not registered any more, and not used after this.
        unsafe {
            bindings::ftrace_free_filter(self.ops.get());
            ManuallyDrop::drop(&mut self.ops);
        }
    }
}
