// SPDX-License-Identifier: GPL-2.0

//! The running kernel, as far as it lets user space look: nothing here takes the module.

pub mod btf;
mod objects;
