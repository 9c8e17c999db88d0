// SPDX-License-Identifier: GPL-2.0

//! Programs with much on their stack have one of their own for each CPU, away
//! from that of the task.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use anyhow::{ensure, Result};

use super::callback::{load, seen};
use super::onto::words;
use super::wait_for;
use crate::bpf;
use crate::harness::{skip, Env};
use crate::probe::Kind;
use crate::targets::sum;

tests! {
    private_stack: "programs in each other, each on its own stack",
    private_stack_threads: "the same on all CPUs, and while one goes",
}

/// The most that a context and the words of a program on the task's stack are
/// apart.
const STACK: u64 = 32 * 1024;

fn private_stack(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let object = load(env, &["private_outer", "private_inner"])?;
    let (on_outer, on_inner) = (env.trampoline()?, env.trampoline()?);
    let [outer, inner] = ["private_outer", "private_inner"].map(|name| bpf::fd(&object, name));
    on_outer.try_add_fd(0, outer?.as_fd(), Kind::Session, 0)?;
    on_inner.try_add_fd(1, inner?.as_fd(), Kind::Session, 0)?;
    let args: [u64; 8] = words();
    for calls in 1..=3 {
        check_eq!(targets.call("args_8", &args)?, sum(&args), "return value");
        let [outer, inner] = seen(&object)?.private;
        check_eq!(outer[1..], [calls, calls, 0], "runs and damage, outer");
        // Each half of the outer one calls it.
        ensure!(
            inner[1] >= 2 * calls && inner[1] == inner[2] && inner[3] == 0,
            "runs and damage, inner: {inner:?}"
        );
        if outer[0] < STACK || inner[0] < STACK {
            return Err(skip(
                "the kernel gives these programs no stack of their own",
            ));
        }
    }
    Ok(())
}

fn private_stack_threads(env: &Env) -> Result<()> {
    const CHANGES: u32 = 5;
    let targets = env.targets()?;
    let object = load(env, &["private_outer", "private_inner"])?;
    let (on_outer, on_inner) = (env.trampoline()?, env.trampoline()?);
    let outer = bpf::fd(&object, "private_outer")?;
    let inner = bpf::fd(&object, "private_inner")?;
    on_outer.try_add_fd(0, outer.as_fd(), Kind::Session, 0)?;
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let callers = [0u64, 1, 2, 3].map(|nr| {
            let (targets, stop, calls) = (&targets, &stop, &calls);
            scope.spawn(move || -> Result<()> {
                let mut args: [u64; 8] = words();
                while !stop.load(Relaxed) {
                    args[0] = (nr << 32) | calls.fetch_add(1, Relaxed);
                    check_eq!(targets.call("args_8", &args)?, sum(&args), "return value");
                }
                Ok(())
            })
        });
        let change = || -> Result<()> {
            let before = seen(&object)?.private[1][1];
            on_inner.try_add_fd(1, inner.as_fd(), Kind::Session, 0)?;
            wait_for("the inner one runs", || {
                Ok(seen(&object)?.private[1][1] > before)
            })?;
            Ok(on_inner.try_remove_fd(1, inner.as_fd())?)
        };
        let changed = (0..CHANGES).try_for_each(|_| change());
        stop.store(true, Relaxed);
        for caller in callers {
            caller.join().expect("no caller panics")?;
        }
        changed
    })?;
    let [outer, inner] = seen(&object)?.private;
    let misses = bpf::misses(bpf::fd(&object, "private_outer")?.as_fd())?;
    println!("outer {outer:?}, {misses} left out, inner {inner:?}");
    // Who is preempted in it is in the way of others on that CPU.
    ensure!(
        outer[1] + outer[2] + misses == 2 * calls.load(Relaxed) && outer[3] == 0,
        "outer: runs by half {:?}, {misses} left out",
        &outer[1..]
    );
    check_eq!(inner[3], 0, "words of the inner one that changed");
    Ok(())
}
