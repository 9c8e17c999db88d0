// SPDX-License-Identifier: GPL-2.0

//! Grace periods of tasks RCU.
//!
//! C headers: `include/linux/rcupdate.h`, `include/linux/rcupdate_trace.h`

use super::bindings;

/// Waits on drop until all callbacks that were queued before have run.
///
/// The module keeps one, dropped after everything that queues callbacks.
pub(crate) struct CallbackBarrier;

impl Drop for CallbackBarrier {
    fn drop(&mut self) {
        // SAFETY: Both may be called from any context that can sleep, as module exit can. Tasks
        // trace callbacks queue tasks callbacks, so theirs comes first.
        unsafe {
            bindings::rf_rcu_barrier_tasks_trace();
            bindings::rf_rcu_barrier_tasks();
        }
    }
}
