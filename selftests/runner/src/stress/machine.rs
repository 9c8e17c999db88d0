// SPDX-License-Identifier: GPL-2.0

//! CPUs, memory and the freezer.

pub mod freezer;
pub mod hotplug;
pub mod memory;
