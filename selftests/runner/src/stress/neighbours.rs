// SPDX-License-Identifier: GPL-2.0

//! What else uses ftrace, kprobes and the text of the kernel.

pub mod events;
pub mod keys;
pub mod livepatch;
pub mod modules;
pub mod own;
pub mod perf;
pub mod sysctl;
pub mod tracers;
