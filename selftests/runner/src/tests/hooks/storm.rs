// SPDX-License-Identifier: GPL-2.0

//! The mode changes while programs are loaded, attached, run and detached.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::thread::{sched_setaffinity, CpuSet};

use super::super::{pause, settle};
use crate::bpf;
use crate::harness::Env;
use crate::hooks::{Hooked, Mode, Stats};
use crate::kmod;
use crate::probe::{Kind, Log, Probe, Spec};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;

tests! {
    hooks_storm: "the mode changes 1000 times under load",
    hooks_storm_unload: "the module comes and goes under the same load",
}

/// What each of the two threads does at least, and on how many functions.
const ROUNDS: u64 = 30;
const TARGETS: usize = 2;

/// Counts what the threads did.
#[derive(Default)]
struct Done {
    rounds: [AtomicU64; 2],
    device: AtomicU64,
    stop: AtomicBool,
}

impl Done {
    fn is_enough(&self) -> bool {
        self.rounds
            .iter()
            .all(|rounds| rounds.load(Relaxed) >= ROUNDS)
    }

    /// Whoever has come to an end, well or not, ends it for all.
    fn keep(&self, result: Result<()>) -> Result<()> {
        self.stop.store(true, Relaxed);
        result
    }

    fn check_running(&self) -> Result<()> {
        ensure!(!self.stop.load(Relaxed), "a thread has ended early");
        Ok(())
    }
}

/// Runs `body` while two threads, each on a CPU of its own, attach and detach by
/// links and, if `devices`, a third one does by the device.
fn under_load(env: &Env, devices: bool, body: impl FnOnce(&Done) -> Result<()>) -> Result<()> {
    let functions = Functions::load()?;
    let done = Done::default();
    let result = thread::scope(|scope| {
        let links: Vec<_> = (0..2)
            .map(|nr| {
                let (done, functions) = (&done, &functions);
                scope.spawn(move || done.keep(by_links(env, functions, done, nr)))
            })
            .collect();
        let device = devices.then(|| scope.spawn(|| done.keep(by_device(env, &done))));
        let result = done.keep(body(&done));
        for thread in links.into_iter().chain(device) {
            thread.join().expect("a thread does not panic")?;
        }
        result
    });
    let rounds: u64 = done.rounds.iter().map(|rounds| rounds.load(Relaxed)).sum();
    println!(
        "attached and detached {} times by links, {} times by the device",
        rounds * TARGETS as u64,
        done.device.load(Relaxed)
    );
    result
}

/// Each round loads, so that kfuncs are inlined, attaches, calls and detaches.
fn by_links(env: &Env, functions: &Functions, done: &Done, nr: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(nr % thread::available_parallelism()?);
    sched_setaffinity(None, &cpus)?;
    let mut bulk = Bulk::load(&env.bpf)?;
    // A function of its own, and one that both want.
    let targets: [_; TARGETS] = [
        functions.named(["bpf_fentry_test2", "bpf_fentry_test3"][nr])?,
        functions.named("bpf_fentry_test4")?,
    ];
    let kinds = [What::WithCookie, What::Fexit, What::Session, What::Fentry];
    let rng = &mut StdRng::seed_from_u64(env.seed + nr as u64);
    let mut round = 0;
    while !done.stop.load(Relaxed) {
        // One after the other at first, then any.
        let what = match kinds.get(round) {
            Some(what) => *what,
            None => kinds[rng.random_range(0..kinds.len())],
        };
        let mut attached = Vec::new();
        for target in targets {
            let program = bulk
                .attach(what, false, target)?
                .with_context(|| format!("{what:?} on {}", target.name))?;
            attached.push(program);
        }
        attached[0].test_run()?;
        for program in &attached {
            let seen = bulk.seen_by(program)?;
            let misses = bpf::misses(program.prog.as_fd())?;
            let (entries, returns) = what.halves();
            // The other thread calls the functions as well.
            ensure!(
                seen.entries + misses >= entries
                    && seen.returns + misses >= returns
                    && seen.alone <= misses,
                "{program:?} saw {seen:?} of a call, left out {misses} times"
            );
        }
        drop(attached);
        settle()?;
        bulk.reuse_places()?;
        round += 1;
        done.rounds[nr].fetch_add(1, Relaxed);
    }
    Ok(())
}

fn by_device(env: &Env, done: &Done) -> Result<()> {
    let log = env.log()?;
    let session = device_session(&log)?;
    while !done.stop.load(Relaxed) {
        let tramp = env.trampoline()?;
        tramp.add(&session)?;
        let before = session.hits()?;
        session.test_run()?;
        let after = session.hits()?;
        let misses = bpf::misses(session.fd())?;
        ensure!(
            misses > 0 || (after.entry > before.entry && after.ret > before.ret),
            "a session of the device saw {before:?}, then {after:?}"
        );
        done.device.fetch_add(1, Relaxed);
    }
    Ok(())
}

fn device_session(log: &Log) -> Result<Probe> {
    log.load(
        Spec::new(Kind::Session, "bpf_fentry_test6")
            .cookie()
            .quiet(),
    )
}

/// In every mode, programs see every call.
fn expect_all_seen(env: &Env, hooked: &Hooked) -> Result<()> {
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    for mode in Mode::ALL {
        hooked.set(mode)?;
        let target = functions.named("bpf_fentry_test4")?;
        let program = bulk.attach(What::WithCookie, false, target)??;
        for _ in 0..10 {
            bpf::test_run(program.prog.as_fd())?;
        }
        let seen = bulk.seen_by(&program)?;
        check_eq!((seen.entries, seen.returns), (10, 10), "calls in {mode:?}");
    }
    bulk.check()
}

/// What goes up in the modes, if somebody builds or loads there.
const COUNTERS: [&str; 4] = ["built", "compared", "kfunc_inlined", "kfunc_compared"];

fn hooks_storm(env: &Env) -> Result<()> {
    const CHANGES: u64 = 1000;
    // On a busy machine, the two threads may miss a mode that is soon over.
    const MOST: u64 = 4 * CHANGES;
    let hooked = env.hook(Mode::Off)?;
    let before = Stats::read()?;
    let mut changes = 0;
    println!("seed {}", env.seed);
    let rng = &mut StdRng::seed_from_u64(env.seed);
    under_load(env, true, |done| {
        while changes < CHANGES
            || !done.is_enough()
            || changes < MOST && before.since()?.first_zero(&COUNTERS)?.is_some()
        {
            done.check_running()?;
            // Half of them in the same order every time.
            let order = [Mode::Shadow, Mode::Takeover, Mode::Off, Mode::Takeover];
            let (mode, wait) = if changes < CHANGES / 2 {
                (order[changes as usize % order.len()], changes % 7)
            } else {
                (Mode::ALL[rng.random_range(0..3)], rng.random_range(0..7))
            };
            hooked.set(mode)?;
            changes += 1;
            pause(Duration::from_micros(200 * wait));
        }
        Ok(())
    })?;
    let counted = before.since()?;
    println!("{changes} changes of the mode: {counted}");
    counted.check_up(&COUNTERS)?;
    counted.check_clean()?;
    expect_all_seen(env, &hooked)
}

fn hooks_storm_unload(env: &Env) -> Result<()> {
    const TIMES: u32 = 4;
    let hooked = env.hook(Mode::Off)?;
    let mut built = 0;
    under_load(env, false, |done| {
        for nr in 0..TIMES {
            let mode = [Mode::Takeover, Mode::Shadow][nr as usize % 2];
            hooked.set(mode)?;
            let (before, rounds) = (Stats::read()?, done.rounds[0].load(Relaxed));
            while done.rounds[0].load(Relaxed) < rounds + 2 {
                done.check_running()?;
                pause(Duration::from_millis(1));
            }
            let counted = before.since()?;
            counted.check_clean()?;
            built += counted.get("built")?;
            kmod::unload().context("cannot unload the module")?;
            pause(Duration::from_millis(5));
            kmod::load(&env.module)?;
        }
        Ok(())
    })?;
    println!("{TIMES} times unloaded, {built} images built");
    ensure!(built > 0, "no image was built by Rust");
    expect_all_seen(env, &hooked)
}
