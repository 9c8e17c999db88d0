// SPDX-License-Identifier: GPL-2.0

//! What the bytes of a BPF trampoline say.
//!
//! [`document`] is what is known of a kernel's trampolines, as it is saved and read.
//! Everything else is made from it, without a kernel.

#![forbid(unsafe_code)]

pub mod diff;
pub mod document;
pub mod find;
pub mod frame_map;
pub mod reading;
pub mod report;
pub mod view;
