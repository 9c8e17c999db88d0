// SPDX-License-Identifier: GPL-2.0

//! What programs behind trampolines take: sampled from the kernel's statistics, which are on only
//! as long as somebody looks, and drawn live or printed.

mod detail;
pub mod draw;
pub mod live;
mod names;
pub mod rates;
pub mod sample;
pub mod state;
pub mod table;

/// Why there is no column of instructions.
pub const NO_INSTRUCTIONS: &str = "The kernel counts calls and time of each program, \
    not its instructions.";
