// SPDX-License-Identifier: GPL-2.0

//! What the `runner` and the commands beside it are made of.

pub mod attach;
pub mod badinput;
pub mod bench;
pub mod bpf;
pub mod cgroup;
pub mod faults;
pub mod harness;
pub mod holder;
pub mod hooks;
pub mod image;
pub mod kallsyms;
pub mod klog;
pub mod kmod;
pub mod kmsg;
pub mod ktap;
pub mod perf;
pub mod plant;
pub mod probe;
pub mod rights;
pub mod skips;
pub mod socket;
pub mod stress;
pub mod sysctl;
pub mod targets;
pub mod tests;
pub mod tracing;
pub mod userfault;
pub mod walk;
pub mod workload;

pub use uapi::device;
