// SPDX-License-Identifier: GPL-2.0

//! Calls within calls, calls side by side, and calls that sleep: each session
//! sees its own.

use std::thread;

use anyhow::{ensure, Result};

use super::cookie::{check_cookies, stay_on};
use super::onto::{spec, words};
use super::wait_for;
use crate::harness::Env;
use crate::probe::{Kind, Phase, Probe};
use crate::targets::{fold, sum};

tests! {
    calls_nested: "one traced function calls another, twice",
    calls_recursive: "a function that calls itself, 20 deep",
    calls_recursive_many: "the same with two sessions and a fexit program",
    calls_two_cpus: "two CPUs call one function as fast as they can",
    calls_two_asleep: "two tasks sleep in one function at the same time",
    calls_pointer: "a program reads the struct that an argument points to",
}

fn calls_nested(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let outer = log.load(spec(Kind::Session, "outer").cookie())?;
    let inner = log.load(spec(Kind::Session, "inner").cookie())?;
    let (on_outer, on_inner) = (env.trampoline()?, env.trampoline()?);
    on_outer.add(&outer)?;
    on_inner.add(&inner)?;

    let [a, b] = words();
    let (first, second) = (sum(&[a, b]), sum(&[b, a]));
    let ret = fold(first, second);
    check_eq!(targets.call("outer", &[a, b])?, ret, "what the caller got");
    let events: [_; 6] = log.take_exactly()?;
    let seen = events.map(|event| (event.id, event.args[0], event.ret));
    let expected = [
        (outer.id, a, 0),
        (inner.id, a, 0),
        (inner.id, a, first),
        (inner.id, b, 0),
        (inner.id, b, second),
        (outer.id, a, ret),
    ];
    // The compiler may choose which of the inner calls comes first.
    let mut other = expected;
    other[1..5].rotate_left(2);
    ensure!(
        seen == expected || seen == other,
        "records: {seen:x?} instead of {expected:x?}"
    );
    check_cookies(&events, |_| true)
}

const DEPTH: u64 = 20;

/// What `targets_recursive()` returns.
fn recursive(depth: u64) -> u64 {
    fold(depth.checked_sub(1).map_or(0, recursive), depth)
}

fn calls_recursive(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "recursive").cookie())?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    let ret = targets.call("recursive", &[DEPTH])?;
    check_eq!(ret, recursive(DEPTH), "what the caller got");

    let events = log.take()?;
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.args[0], event.ret))
        .collect();
    let down = (0..=DEPTH).rev().map(|depth| (depth, 0));
    let up = (0..=DEPTH).map(|depth| (depth, recursive(depth)));
    check_eq!(
        seen,
        down.chain(up).collect::<Vec<_>>(),
        "calls and returns"
    );
    check_cookies(&events, |_| true)
}

fn calls_recursive_many(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let first = log.load(spec(Kind::Session, "recursive").cookie())?;
    let fexit = log.load(spec(Kind::Fexit, "recursive"))?;
    let last = log.load(spec(Kind::Session, "recursive").cookie())?;
    let tramp = env.trampoline()?;
    for probe in [&first, &fexit, &last] {
        tramp.add(probe)?;
    }
    let ret = targets.call("recursive", &[DEPTH])?;
    check_eq!(ret, recursive(DEPTH), "what the caller got");

    let events = log.take()?;
    let (down, up) = events.split_at(events.len() * 2 / 5);
    let entries = [last.id, first.id];
    let returns = [last.id, fexit.id, first.id];
    check_eq!(down.len() as u64, 2 * (DEPTH + 1), "entries");
    for (nr, event) in (0u64..).zip(down) {
        let expected = (entries[(nr % 2) as usize], DEPTH - nr / 2);
        check_eq!((event.id, event.args[0]), expected, "entry {nr}");
    }
    check_eq!(up.len() as u64, 3 * (DEPTH + 1), "returns");
    for (nr, event) in (0u64..).zip(up) {
        let expected = (returns[(nr % 3) as usize], nr / 3, recursive(nr / 3));
        check_eq!(
            (event.id, event.args[0], event.ret),
            expected,
            "return {nr}"
        );
    }
    check_cookies(&events, |id| id != fexit.id)
}

fn calls_two_cpus(env: &Env) -> Result<()> {
    const CALLS: u64 = 300;
    let targets = env.targets()?;
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "args_12").cookie())?;
    let other = log.load(spec(Kind::Session, "args_12").cookie().quiet())?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    tramp.add(&other)?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2u64)
            .map(|cpu| {
                let targets = &targets;
                scope.spawn(move || {
                    stay_on(cpu as usize);
                    for call in 0..CALLS {
                        let mut args = words::<12>();
                        args[0] = (cpu << 32) | call;
                        args[11] = !args[0];
                        let ret = targets.call("args_12", &args)?;
                        check_eq!(ret, sum(&args), "what the caller got");
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;

    let hits = other.hits()?;
    check_eq!((hits.entry, hits.ret), (2 * CALLS, 2 * CALLS), "runs");
    let events = log.take()?;
    check_eq!(events.len() as u64, 4 * CALLS, "number of records");
    check_cookies(&events, |_| true)?;
    for event in &events {
        check_eq!(event.args[11], !event.args[0], "last argument");
        let ret = match event.phase() {
            Phase::Entry => 0,
            Phase::Return => sum(&event.args),
        };
        check_eq!(event.ret, ret, "return value");
    }
    Ok(())
}

/// Waits until `count` calls were entered.
fn wait_entered(probe: &Probe, count: u64) -> Result<()> {
    wait_for("the function is entered", || {
        Ok(probe.hits()?.entry == count)
    })
}

fn calls_two_asleep(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let first = log.load(spec(Kind::Session, "sleep").cookie())?;
    let last = log.load(spec(Kind::Session, "sleep").cookie().quiet())?;
    let tramp = env.trampoline()?;
    tramp.add(&first)?;
    tramp.add(&last)?;
    let calls = [[0x1111, 0x2222], [0x3333, 0x4444]];
    thread::scope(|scope| {
        let mut sleepers = Vec::new();
        let mut entered = Ok(());
        for (nr, args) in (1..).zip(&calls) {
            sleepers.push(scope.spawn(|| targets.call("sleep", args)));
            entered = entered.and_then(|()| wait_entered(&first, nr));
        }
        for _ in &calls {
            targets.wake()?;
        }
        for (sleeper, args) in sleepers.into_iter().zip(&calls) {
            let ret = sleeper.join().expect("a sleeper does not panic")?;
            check_eq!(ret, sum(args), "what the caller got");
        }
        entered
    })?;

    let mut events: [_; 4] = log.take_exactly()?;
    // A call is counted before it is logged, so that the other one may be woken
    // in between.
    events.sort_by_key(|event| event.phase() == Phase::Return);
    let phases = events.each_ref().map(|event| event.phase());
    check_eq!(
        phases,
        [Phase::Entry, Phase::Entry, Phase::Return, Phase::Return],
        "halves"
    );
    for event in &events[2..] {
        check_eq!(event.ret, sum(&event.args[..2]), "return value");
    }
    check_cookies(&events, |_| true)
}

fn calls_pointer(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let object = crate::bpf::open(&env.bpf, "pair")?.load()?;
    let prog = crate::bpf::fd(&object, "pair")?;
    let tramp = env.trampoline()?;
    tramp.try_add_fd(0, std::os::fd::AsFd::as_fd(&prog), Kind::Session, 0)?;
    tramp.check_image()?;
    let [a, b, c] = words();
    let ret = fold(fold(a, b), c);
    check_eq!(
        targets.call("pair_of", &[a, b, c])?,
        ret,
        "what the caller got"
    );

    let seen: [[u64; 4]; 2] = crate::bpf::globals(&object, ".bss")?;
    check_eq!(seen, [[a, b, c, 0], [a, b, c, ret]], "what each half read");
    Ok(())
}
