// SPDX-License-Identifier: GPL-2.0

//! A direct call that ftrace refuses, after it may have led tasks into the image
//! already.
//!
//! `register_ftrace_direct()` puts its operations on the list before it finds
//! that somebody else changes the instruction pointer there. A function that
//! is traced by others as well goes through that list meanwhile. This function
//! sleeps, so that who got into the image comes back to it after the error.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};

use super::pause;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::probe::{Kind, Spec};
use crate::targets::{sum, Targets};
use crate::tracing::Tracer;

tests! {
    direct_refused: "tasks come out of an image that ftrace refused",
}

const ATTEMPTS: u32 = 150;
const SLEEPERS: u64 = 24;

fn sleep_often(targets: &Targets, nr: u64, stop: &AtomicBool) -> Result<u64> {
    let mut calls = 0;
    while !stop.load(Relaxed) {
        let ret = targets.call("sleep", &[nr, calls])?;
        check_eq!(ret, sum(&[nr, calls]), "what a sleeper got");
        calls += 1;
    }
    Ok(calls)
}

fn direct_refused(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let session = env.log()?.load(
        Spec::new(Kind::Session, "targets_sleep")
            .this_process()
            .cookie()
            .quiet(),
    )?;
    let device = env.device()?;
    let faults = Faults::load(env)?;
    // A kprobe that may change the instruction pointer, and never does.
    faults.inject(Fault {
        function: "targets_sleep",
        everywhere: true,
        ..Default::default()
    })?;
    let _tracer = Tracer::start("function", &["targets_sleep"])?;

    let stop = AtomicBool::new(false);
    let left = AtomicU64::new(SLEEPERS);
    let (attempts, calls) = thread::scope(|scope| {
        let sleepers: Vec<_> = (0..SLEEPERS)
            .map(|nr| {
                let (targets, stop, left) = (&targets, &stop, &left);
                scope.spawn(move || {
                    let calls = sleep_often(targets, nr, stop);
                    left.fetch_sub(1, Relaxed);
                    calls
                })
            })
            .collect();
        let waker = scope.spawn(|| -> Result<()> {
            while left.load(Relaxed) > 0 {
                targets.wake()?;
                pause(Duration::from_millis(1));
            }
            Ok(())
        });
        let attempts = (0..ATTEMPTS).try_for_each(|nr| -> Result<()> {
            check_errno!(device.add(session.fd(), 0), EBUSY, "attempt {nr}");
            Ok(())
        });
        stop.store(true, Relaxed);
        waker.join().expect("the waker does not panic")?;
        let calls: u64 = sleepers
            .into_iter()
            .map(|sleeper| sleeper.join().expect("a sleeper does not panic"))
            .sum::<Result<_>>()?;
        Ok::<_, anyhow::Error>((attempts, calls))
    })?;
    attempts?;
    let hits = session.hits()?;
    println!("{calls} calls, {} of them into a refused image", hits.entry);
    ensure!(calls > SLEEPERS, "only {calls} calls");

    // Without the other one it works.
    faults.stop()?;
    device.add(session.fd(), 0)?;
    let before = session.hits()?;
    targets.wake()?;
    check_eq!(
        targets.call("sleep", &[1, 2])?,
        sum(&[1, 2]),
        "the last call"
    );
    let after = session.hits()?;
    check_eq!(after.ret - before.ret, 1, "returns after all");
    Ok(())
}
