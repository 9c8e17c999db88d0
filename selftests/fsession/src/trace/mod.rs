// SPDX-License-Identifier: GPL-2.0

//! `fsession trace`: a session on each function, whose records become calls.

mod attach;
mod calls;
pub mod command;
mod errno;
pub mod hist;
pub mod json;
pub mod lines;
pub mod output;
mod program;
pub mod record;
mod ring;
pub mod run;
pub mod select;
pub mod session;
mod texts;
mod tree;
pub mod types;
mod values;
pub mod view;

use std::fmt;

/// What a run comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub calls: u64,
    /// Calls of which entry or return found no room in the ring buffer.
    pub lost: u64,
    /// How often the kernel did not run a session, as that was running on the CPU already.
    pub missed: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.calls == 1 { "" } else { "s" };
        write!(
            f,
            "{} call{plural}, {} lost, {} missed",
            self.calls, self.lost, self.missed
        )
    }
}
