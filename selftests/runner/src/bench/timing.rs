// SPDX-License-Identifier: GPL-2.0

//! How long calls take, where the CPU is a real one. Only ratios of one run mean anything.

use std::path::Path;

use anyhow::{Context, Result};
use figures::document::{Document, Time};

use super::calling::with_attached;
use super::module::Module;

const CALLS: u64 = 100_000;

/// The names of the kernel's own benchmark, and the programs of each.
const BENCHES: [(&str, &[&str]); 10] = [
    ("trig-kernel-count", &[]),
    ("trig-fentry", &["fentry"]),
    ("trig-fexit", &["fexit"]),
    ("trig-fmodret", &["fmod_ret"]),
    ("trig-fsession", &["session"]),
    ("trig-fsession-cookie", &["with_cookie"]),
    ("trig-kprobe", &["kprobe"]),
    ("trig-kretprobe", &["kretprobe"]),
    ("trig-kprobe-multi", &["kprobe_multi"]),
    ("trig-kprobe-session", &["kprobe_session"]),
];

pub fn count(module: &Module, dir: &Path, document: &mut Document) -> Result<()> {
    for (name, programs) in BENCHES {
        let run = || module.time_of_calls(CALLS);
        let ticks = match programs {
            [] => run(),
            programs => with_attached(dir, programs, run),
        };
        document.time.push(Time {
            name: name.to_owned(),
            ticks: ticks.context(name)? * 1000 / CALLS,
        });
    }
    Ok(())
}
