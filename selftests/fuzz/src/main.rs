// SPDX-License-Identifier: GPL-2.0

//! Fuzz target for the trampoline builder. `run.sh` builds it with the coverage counters
//! that libFuzzer steers by, and runs it.

#![no_main]

mod builder;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    builder::check(data);
});
