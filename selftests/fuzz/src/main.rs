// SPDX-License-Identifier: GPL-2.0

//! Fuzz target of the image builder. `run.sh` builds it with coverage counters for libFuzzer, and
//! runs it.

#![no_main]

mod builder;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    builder::check(data);
});
