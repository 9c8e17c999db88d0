// SPDX-License-Identifier: GPL-2.0

//! The hooks: what the kernel builds for its own trampolines, compared with
//! what Rust builds, or replaced by it.

use crate::harness::Test;

mod control;
mod limits;
mod storm;
mod unload;
mod workload;
mod xlated;

pub const TESTS: [&[Test]; 6] = [
    control::TESTS,
    workload::TESTS,
    xlated::TESTS,
    limits::TESTS,
    storm::TESTS,
    unload::TESTS,
];
