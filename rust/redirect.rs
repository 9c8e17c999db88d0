// SPDX-License-Identifier: GPL-2.0

//! Redirections: a kernel function's callers reach another function in its place.
//!
//! This holds for every caller, whatever else traces the function. The module's own calls enter the
//! kernel's function behind its ftrace site (`CALL_BODY()` in `unexported.h`).
//!
//! C header: `include/linux/ftrace.h`, as live patching uses it

use super::{
    bindings,
    ftrace::{
        is_dead,
        Ops, //
    },
    module_ref::ModuleRef,
    rcu_tasks::wait_for_ftrace,
    symbols::Symbols, //
};
use core::mem::{
    self,
    ManuallyDrop, //
};
use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// A redirection, undone on drop. Callers may still be in the replacement afterwards.
///
/// # Invariants
///
/// `ops` is registered with ftrace.
pub(super) struct Redirect {
    ops: ManuallyDrop<KBox<Ops>>,
    module: &'static ThisModule,
}

// SAFETY: ftrace has its own locks.
unsafe impl Send for Redirect {}
// SAFETY: There is nothing to do with `&self`.
unsafe impl Sync for Redirect {}

impl Redirect {
    /// Redirects the callers of the function at address `from` to `to`, a function of `module`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the function has another user that changes the instruction pointer, or if `kernel.ftrace_enabled` is 0;
    /// `EINVAL` if ftrace does not know it, `ENODEV` if ftrace is dead, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `to` must be a function of the same type, that every caller of the original may call, as long as
    /// the redirection lasts and until no caller is in there any more.
    pub(super) unsafe fn new(
        from: usize,
        to: *mut c_void,
        module: &'static ThisModule,
        symbols: Symbols,
    ) -> Result<Self> {
        if is_dead(symbols) {
            return Err(ENODEV);
        }
        let ops = bindings::ftrace_ops {
            func: Some(bindings::rf_redirect),
            // Permanent: `kernel.ftrace_enabled` must not turn the redirection off.
            flags: usize::try_from(
                bindings::FTRACE_OPS_FL_SAVE_REGS
                    | bindings::FTRACE_OPS_FL_IPMODIFY
                    | bindings::FTRACE_OPS_FL_PERMANENT,
            )?,
            private: to,
            ..Default::default()
        };
        let ops = KBox::new(Ops::new(ops), GFP_KERNEL)?;
        // SAFETY: `ops` is new and stays where it is until it is unregistered.
        to_result(unsafe { bindings::ftrace_set_filter_ip(ops.get(), from, 0, 1) })
            // SAFETY: `ops` is not registered.
            .inspect_err(|_| unsafe { bindings::ftrace_free_filter(ops.get()) })?;
        // SAFETY: As above; the caller promises that the replacement is good.
        if let Err(e) = to_result(unsafe { bindings::register_ftrace_function(ops.get()) }) {
            if is_dead(symbols) {
                mem::forget(ops);
                keep_loaded(module);
                return Err(e);
            }
            // ftrace lists the operations before it finds that they conflict.
            wait_for_ftrace();
            // SAFETY: `ops` is not registered, and no CPU uses it.
            unsafe { bindings::ftrace_free_filter(ops.get()) };
            return Err(e);
        }
        // INVARIANT: Registered just now.
        Ok(Self {
            ops: ManuallyDrop::new(ops),
            module,
        })
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        let ret = unsafe { bindings::unregister_ftrace_function(self.ops.get()) };
        if ret != 0 {
            // ftrace may still use the operations: leak them.
            pr_err!("ftrace keeps a redirection: error {ret}\n");
            keep_loaded(self.module);
            return;
        }
        // SAFETY: Not registered any more, and not used after this.
        unsafe {
            bindings::ftrace_free_filter(self.ops.get());
            ManuallyDrop::drop(&mut self.ops);
        }
    }
}

/// Keeps the module's code where ftrace, which is dead, leads the kernel for ever.
///
/// Does not return when the module is being unloaded: nothing can stop that any more.
fn keep_loaded(module: &'static ThisModule) {
    if let Ok(reference) = ModuleRef::get(module) {
        pr_err!("ftrace is dead and leads into this module, which stays loaded\n");
        mem::forget(reference);
        return;
    }
    pr_err!("ftrace is dead and leads into this module, which cannot go: reboot\n");
    loop {
        fsleep(Delta::from_secs(10));
    }
}
