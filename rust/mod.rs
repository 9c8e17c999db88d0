// SPDX-License-Identifier: GPL-2.0

//! The kernel surface that the `kernel` crate lacks, one safe wrapper a file.
//!
//! This is the only room that touches raw bindings and the only one with `unsafe` in it. It knows
//! nothing of the rest of the module: what may become code is a type that the room which builds
//! images names in [`code`].

mod bindings;
mod rcu_tasks;
mod redirect;

pub(crate) mod bpf_prog;
pub(crate) mod bpf_target;
pub(crate) mod btf_func_model;
pub(crate) mod build_call;
pub(crate) mod c_builder;
pub(crate) mod capability;
pub(crate) mod cfi;
pub(crate) mod code;
pub(crate) mod constants;
pub(crate) mod debugfs;
pub(crate) mod entry_points;
pub(crate) mod errno;
pub(crate) mod fake_prog;
pub(crate) mod features;
pub(crate) mod fixup_call;
pub(crate) mod ftrace;
pub(crate) mod linked_prog;
pub(crate) mod miscdevice;
pub(crate) mod mitigations;
pub(crate) mod module_ref;
pub(crate) mod plan;
pub(crate) mod symbols;
pub(crate) mod text;
pub(crate) mod tramp_image;
pub(crate) mod uapi;
pub(crate) mod workqueue;

pub(crate) use rcu_tasks::CallbackBarrier;
pub(crate) use symbols::addr_of;
