// SPDX-License-Identifier: GPL-2.0

//! The subcommands, a file each.

pub mod attach;
pub mod compare;
pub mod completions;
pub mod demo;
pub mod diff;
pub mod dump;
pub mod list;
pub mod man;
pub mod mode;
pub mod report;
pub mod show;
pub mod stats;
pub mod top;
pub mod trace;
