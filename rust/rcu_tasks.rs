// SPDX-License-Identifier: GPL-2.0

//! Grace periods of tasks RCU.
//!
//! C headers: `include/linux/rcupdate.h`, `include/linux/rcupdate_trace.h`

use super::bindings;

/// Waits until every task that was preempted in kernel code has left it.
pub(super) fn wait_for_preempted() {
    // SAFETY: May be called from any context that can sleep.
    unsafe { bindings::rf_synchronize_rcu_tasks() };
}

/// Waits until no CPU can be in ftrace on behalf of operations that are not registered any more,
/// nor in what they led to without sleeping.
///
/// C: `ftrace_shutdown()` in `kernel/trace/ftrace.c`: tracing also happens where RCU is not
/// watching, so that the rude flavour comes first.
pub(super) fn wait_for_ftrace() {
    // SAFETY: As above.
    unsafe { bindings::rf_synchronize_rcu_tasks_rude() };
    wait_for_preempted();
}

/// Waits on drop until all callbacks that were queued before have run.
///
/// The module keeps one, dropped after everything that queues callbacks.
pub(crate) struct CallbackBarrier;

impl Drop for CallbackBarrier {
    fn drop(&mut self) {
        // SAFETY: Both may be called from any context that can sleep, as module exit can. Callbacks
        // of tasks trace RCU queue some of tasks RCU, so theirs comes first.
        unsafe {
            bindings::rf_rcu_barrier_tasks_trace();
            bindings::rf_rcu_barrier_tasks();
        }
    }
}
