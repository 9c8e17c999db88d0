// SPDX-License-Identifier: GPL-2.0

//! Detaching: it really detaches, at once, whatever else goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};

use super::{pause, settle, wait_for};
use crate::bpf;
use crate::harness::Env;
use crate::kallsyms;
use crate::probe::{Hits, Kind, Log, Probe, Spec};

const TARGET: &str = "bpf_fentry_test1";

tests! {
    detach_remove: "nothing arrives after a program was removed",
    detach_close: "nothing arrives after the descriptor was closed",
    detach_load: "detach while two CPUs call the function",
    detach_releases_program: "no reference to a program is kept",
    detach_releases_image: "no image is kept, whoever has been through it",
}

pub fn session(log: &Log) -> Result<Probe> {
    log.load(Spec::new(Kind::Session, TARGET).cookie().quiet())
}

pub fn expect_hits(probe: &Probe, halves: u64, what: &str) -> Result<()> {
    let expected = Hits {
        entry: halves,
        ret: halves,
        lost: 0,
    };
    check_eq!(probe.hits()?, expected, "runs {what}");
    Ok(())
}

fn detach_remove(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = session(&log)?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    session.test_run()?;
    expect_hits(&session, 1, "while attached")?;
    tramp.remove(&session)?;
    session.test_run()?;
    expect_hits(&session, 1, "after it was removed")
}

fn detach_close(env: &Env) -> Result<()> {
    let log = env.log()?;
    let (first, second) = (session(&log)?, session(&log)?);
    let tramp = env.trampoline()?;
    tramp.add(&first)?;
    tramp.add(&second)?;
    first.test_run()?;
    drop(tramp);
    first.test_run()?;
    expect_hits(&first, 1, "after the descriptor was closed")?;
    expect_hits(&second, 1, "after the descriptor was closed")
}

/// Calls the function on two CPUs as fast as they can, until dropped.
fn under_load<T>(log: &Log, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let caller = log.load(Spec::new(Kind::Fentry, "bpf_fentry_test10").quiet())?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut calls = 0u64;
                    while !stop.load(Ordering::Relaxed) {
                        bpf::test_run(caller.fd())?;
                        calls += 1;
                    }
                    Ok::<_, std::io::Error>(calls)
                })
            })
            .collect();
        let result = body();
        stop.store(true, Ordering::Relaxed);
        let calls: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker does not panic"))
            .collect();
        let value = result?;
        for calls in calls {
            ensure!(calls? > 0, "a worker did not call the function");
        }
        Ok(value)
    })
}

fn detach_load(env: &Env) -> Result<()> {
    let log = env.log()?;
    let (stays, comes) = (session(&log)?, session(&log)?);
    under_load(&log, || {
        for _ in 0..10 {
            let tramp = env.trampoline()?;
            tramp.add(&stays)?;
            tramp.add(&comes)?;
            pause(Duration::from_millis(3));
            tramp.remove(&comes)?;
            settle()?;
            let before = comes.hits()?;
            let others = stays.hits()?;
            pause(Duration::from_millis(3));
            check_eq!(comes.hits()?, before, "runs after it was removed");
            wait_for("the other session runs on", || {
                Ok(stays.hits()?.entry > others.entry)
            })?;
            drop(tramp);
            settle()?;
            let before = stays.hits()?;
            pause(Duration::from_millis(3));
            check_eq!(
                stays.hits()?,
                before,
                "runs after the descriptor was closed"
            );
        }
        let hits = comes.hits()?;
        ensure!(hits.entry > 0 && hits.ret > 0, "it did not run: {hits:?}");
        Ok(())
    })
}

fn detach_releases_program(env: &Env) -> Result<()> {
    let log = env.log()?;
    let (removed, closed) = (session(&log)?, session(&log)?);
    let (removed_id, closed_id) = (removed.prog_id()?, closed.prog_id()?);
    let tramp = env.trampoline()?;
    tramp.add(&removed)?;
    tramp.add(&closed)?;
    tramp.remove(&removed)?;
    drop(removed);
    wait_for("a removed program is freed", || {
        Ok(!bpf::prog_exists(removed_id))
    })?;

    // The trampoline alone keeps the other one.
    drop(closed);
    settle()?;
    pause(Duration::from_millis(100));
    ensure!(bpf::prog_exists(closed_id), "an attached program is gone");
    drop(tramp);
    wait_for("a program is freed after close()", || {
        Ok(!bpf::prog_exists(closed_id))
    })
}

fn detach_releases_image(env: &Env) -> Result<()> {
    let log = env.log()?;
    // A function of its own, so that no image of an earlier test looks the same.
    let session = log.load(Spec::new(Kind::Session, "bpf_fentry_test7").quiet())?;
    let before = kallsyms::all_images()?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    let mut ours = kallsyms::all_images()?;
    ours.retain(|image| !before.contains(image));
    ensure!(!ours.is_empty(), "kallsyms shows no new image");
    // Each call takes a reference, and has to give it back.
    for _ in 0..3 {
        session.test_run()?;
    }
    drop(tramp);
    wait_for("its images are freed", || {
        let left = kallsyms::all_images()?;
        Ok(!ours.iter().any(|image| left.contains(image)))
    })
}
