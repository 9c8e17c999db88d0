// SPDX-License-Identifier: GPL-2.0

//! The running kernel, as far as it lets user space look: nothing here takes the module.

pub mod btf;
pub mod host;
pub mod image;
pub mod kallsyms;
pub mod kcore;
pub mod objects;
pub mod owners;
pub mod progs;
mod snapshot;
mod struct_ops;
pub mod target;

pub use snapshot::dump;
