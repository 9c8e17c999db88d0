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

/// Redirections, undone on drop. Callers may still be in the replacements afterwards.
///
/// All of them share their operations: to register some, and to take them back, is what takes
/// ftrace its time.
///
/// # Invariants
///
/// `ops` is registered with ftrace, and leads to `table`.
pub(super) struct Redirects {
    ops: ManuallyDrop<KBox<Ops>>,
    table: ManuallyDrop<KVec<bindings::rf_redirection>>,
    module: &'static ThisModule,
}

// SAFETY: ftrace has its own locks.
unsafe impl Send for Redirects {}
// SAFETY: There is nothing to do with `&self`.
unsafe impl Sync for Redirects {}

impl Redirects {
    /// Redirects the callers of each function, of which the address is given, to a function of
    /// `module`. All of them or none.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a function has another user that changes the instruction pointer, or if
    /// `kernel.ftrace_enabled` is 0; `EINVAL` if ftrace does not know one, `ENODEV` if ftrace is
    /// dead, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// Each replacement must be a function of the same type as the original, that every caller of
    /// that may call, as long as the redirection lasts and until no caller is in there any more.
    pub(super) unsafe fn new(
        redirections: &[(usize, *mut c_void)],
        module: &'static ThisModule,
        symbols: Symbols,
    ) -> Result<Self> {
        if is_dead(symbols) {
            return Err(ENODEV);
        }
        let mut table = KVec::with_capacity(redirections.len() + 1, GFP_KERNEL)?;
        for &(from, to) in redirections {
            table.push(bindings::rf_redirection { from, to }, GFP_KERNEL)?;
        }
        table.push(bindings::rf_redirection::default(), GFP_KERNEL)?;
        let ops = bindings::ftrace_ops {
            func: Some(bindings::rf_redirect),
            // Permanent: `kernel.ftrace_enabled` must not turn the redirections off.
            flags: usize::try_from(
                bindings::FTRACE_OPS_FL_SAVE_REGS
                    | bindings::FTRACE_OPS_FL_IPMODIFY
                    | bindings::FTRACE_OPS_FL_PERMANENT,
            )?,
            private: table.as_mut_ptr().cast(),
            ..Default::default()
        };
        let ops = KBox::new(Ops::new(ops), GFP_KERNEL)?;
        for (at, &(from, _)) in redirections.iter().enumerate() {
            let reset = (at == 0).into();
            // SAFETY: `ops` is new and stays where it is until it is unregistered.
            to_result(unsafe { bindings::ftrace_set_filter_ip(ops.get(), from, 0, reset) })
                // SAFETY: `ops` is not registered.
                .inspect_err(|_| unsafe { bindings::ftrace_free_filter(ops.get()) })?;
        }
        // SAFETY: As above; the caller promises that the replacements are good.
        if let Err(e) = to_result(unsafe { bindings::register_ftrace_function(ops.get()) }) {
            if is_dead(symbols) {
                mem::forget((ops, table));
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
            table: ManuallyDrop::new(table),
            module,
        })
    }
}

impl Drop for Redirects {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        let ret = unsafe { bindings::unregister_ftrace_function(self.ops.get()) };
        if ret != 0 {
            // ftrace may still use both: leak them.
            pr_err!("ftrace keeps the redirections: error {ret}\n");
            keep_loaded(self.module);
            return;
        }
        // SAFETY: Not registered any more, and neither is used after this.
        unsafe {
            bindings::ftrace_free_filter(self.ops.get());
            ManuallyDrop::drop(&mut self.ops);
            ManuallyDrop::drop(&mut self.table);
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
