// SPDX-License-Identifier: GPL-2.0

//! What the hooks have counted since the module was loaded.

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
    /// Images that both built.
    pub(super) compared: Counter,
    pub(super) identical: Counter,
    /// Images and inlined kfuncs that came out different.
    pub(super) different: Counter,
    /// Calls of session kfuncs that Rust inlined.
    pub(super) kfunc_inlined: Counter,
    /// Calls of session kfuncs that both inlined.
    pub(super) kfunc_compared: Counter,
    /// What Rust would not fit in a page, and C was not asked for.
    pub(super) refused: Counter,
    /// What Rust could not do and C did.
    pub(super) fallbacks: Counter,
    /// What C did and Rust failed at, for lack of memory for example.
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
