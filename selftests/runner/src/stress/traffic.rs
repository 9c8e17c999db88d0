// SPDX-License-Identifier: GPL-2.0

//! Tasks that call the traced functions: often, asleep in them, and stopped in the
//! middle of an image.

pub mod asleep;
pub mod calls;
pub mod inside;
pub mod preempt;
pub mod sleepers;
