// SPDX-License-Identifier: GPL-2.0

//! Tasks that call the traced functions: often, asleep in them, and stopped in the
//! middle of an image.

pub mod asleep;
pub mod calls;
pub mod inside;
pub mod leaving;
pub mod outlived;
pub mod preempt;
pub mod realtime;
pub mod sleepers;
