// SPDX-License-Identifier: GPL-2.0

//! Counters of the hooks, from the time that the module was loaded.

use kernel::{
    fmt,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A counter of events.
pub(crate) struct Counter(Atomic<i64>);

impl Default for Counter {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The counters.
#[derive(Default)]
pub(crate) struct Stats {
    /// Images that Rust built and the kernel uses.
    pub(super) built: Counter,
    /// Images that were compared with C's.
    pub(super) compared: Counter,
    /// Those of them that were equal.
    pub(super) identical: Counter,
    /// Images, sizes and inlined kfuncs that differ.
    pub(super) different: Counter,
    /// Calls of session kfuncs that Rust replaced by instructions.
    pub(super) kfunc_inlined: Counter,
    /// Calls of session kfuncs whose inlining was compared with C's.
    pub(super) kfunc_compared: Counter,
    /// Images that do not fit a page; C is not asked for them.
    pub(super) refused: Counter,
    /// Images that Rust does not cover and C built.
    pub(super) fallbacks: Counter,
    /// Images and kfuncs that were left to C, or not compared, for lack of memory.
    pub(super) errors: Counter,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counters = [
            ("built", &self.built),
            ("compared", &self.compared),
            ("identical", &self.identical),
            ("different", &self.different),
            ("kfunc_inlined", &self.kfunc_inlined),
            ("kfunc_compared", &self.kfunc_compared),
            ("refused", &self.refused),
            ("fallbacks", &self.fallbacks),
            ("errors", &self.errors),
        ];
        for (name, Counter(count)) in counters {
            writeln!(f, "{name} {}", count.load(Relaxed))?;
        }
        Ok(())
    }
}
