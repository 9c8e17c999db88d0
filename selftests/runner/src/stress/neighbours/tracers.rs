// SPDX-License-Identifier: GPL-2.0

//! The kernel's tracers, one at a time, on some functions or all.

use std::fs::{self, File};
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use rustix::fs::{flock, FlockOperation};

use crate::kallsyms;
use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::tracing::{read, replace, write};

const LOCK: &str = "/tmp/stress.tracer";

fn missing(name: &str) -> Option<String> {
    match read("available_tracers") {
        Ok(tracers) if tracers.split_whitespace().any(|tracer| tracer == name) => None,
        Ok(_) => Some(format!("the kernel has no tracer {name}")),
        Err(err) => Some(format!("{err:#}")),
    }
}

/// On few functions, on the module's, on none but the traced ones; on all, now and then.
const FILTERS: [&str; 6] = [
    "bpf_fentry_test*",
    "vfs_*",
    "*bpf_tramp*",
    "arch_prepare_bpf_trampoline arch_bpf_trampoline_size bpf_fixup_kfunc_call",
    "*:mod:rust_fsession",
    "",
];

fn act(turn: &mut Turn<'_>, name: &str, filters: &[&str]) -> Result<()> {
    let lock = File::create(LOCK)?;
    let kasan = kallsyms::has_kasan();
    while turn.next()? {
        turn.pause(800)?;
        turn.say(format!("wait for the tracers, to have {name}"))?;
        flock(lock.as_fd(), FlockOperation::LockExclusive)?;
        let mut filter = *turn.draw.pick(filters);
        if filter.is_empty() && kasan && !turn.draw.once_in(8) {
            // For minutes, nobody else would come to anything.
            filter = "vfs_*";
        }
        turn.say(format!("{name} of '{filter}'"))?;
        let result = trace(turn, name, filter);
        flock(lock.as_fd(), FlockOperation::Unlock)?;
        result?;
        turn.count(Count::Actions, 1);
    }
    Ok(())
}

fn trace(turn: &mut Turn<'_>, name: &str, filter: &str) -> Result<()> {
    // The module's functions may not be there.
    let filtered = replace("set_ftrace_filter", &format!("{filter}\n"));
    if filtered.is_ok() {
        write("current_tracer", name)?;
        // All functions take most of the machine.
        turn.pause(if filter.is_empty() { 60 } else { 400 })?;
        write("current_tracer", "nop")?;
    }
    replace("set_ftrace_filter", "\n")?;
    replace("trace", "\n")
}

pub fn function(turn: &mut Turn<'_>) -> Result<()> {
    act(turn, "function", &FILTERS)
}

pub fn no_function() -> Option<String> {
    missing("function")
}

pub fn graph(turn: &mut Turn<'_>) -> Result<()> {
    act(turn, "function_graph", &FILTERS)
}

pub fn no_graph() -> Option<String> {
    missing("function_graph")
}

pub fn irqsoff(turn: &mut Turn<'_>) -> Result<()> {
    act(turn, "irqsoff", &["", "vfs_*"])
}

pub fn no_irqsoff() -> Option<String> {
    missing("irqsoff")
}

pub fn blk(turn: &mut Turn<'_>) -> Result<()> {
    act(turn, "blk", &["", "vfs_*"])
}

pub fn no_blk() -> Option<String> {
    missing("blk")
}

/// A second function tracer, in an instance, with a filter of its own.
pub fn instance(turn: &mut Turn<'_>) -> Result<()> {
    const DIR: &str = "/sys/kernel/tracing/instances/stress";
    while turn.next()? {
        turn.say("a tracing instance")?;
        if !fs::exists(DIR)? {
            fs::create_dir(DIR).context("cannot make a tracing instance")?;
        }
        let filter = *turn.draw.pick(&FILTERS[..4]);
        write("instances/stress/set_ftrace_filter", &format!("{filter}\n"))?;
        write("instances/stress/current_tracer", "function")?;
        turn.pause(300)?;
        write("instances/stress/current_tracer", "nop")?;
        fs::remove_dir(DIR).context("cannot remove a tracing instance")?;
        turn.count(Count::Actions, 1);
        turn.pause(300)?;
    }
    Ok(())
}
