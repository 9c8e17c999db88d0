// SPDX-License-Identifier: GPL-2.0

//! Those who put programs on functions, and those who change how the kernel does it.

pub mod attach;
pub mod called;
pub mod cgroups;
pub mod functions;
pub mod loads;
pub mod mode;
pub mod multi;
pub mod ops;
pub mod reload;
pub mod shared;
