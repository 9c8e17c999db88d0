// SPDX-License-Identifier: GPL-2.0

//! Session cookies: 8 bytes that a session hands from entry to return.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};
use rustix::thread::{sched_setaffinity, CpuSet};

use crate::device::abi;
use crate::harness::Env;
use crate::probe::{cookie_value, Event, Kind, Log, Phase, Spec};

pub const TARGET: &str = "bpf_fentry_test4";
/// What the kernel gives the target as first argument.
const FIRST_ARG: u64 = 7;

tests! {
    cookie_zero: "reads 0 at every entry",
    cookie_each_its_own: "two sessions with cookies among one without",
    cookie_most: "as many cookies as the attach path gives",
    cookie_beside_bpf_cookie: "session cookie and BPF cookie at once",
    cookie_per_call: "calls that overlap keep their cookies apart",
}

/// The records of each call: cookies found at entry are 0, at return they are
/// what the same program left.
pub fn check_cookies(events: &[Event], with_cookie: impl Fn(u32) -> bool) -> Result<()> {
    for event in events {
        let expected = match event.phase() {
            Phase::Return if with_cookie(event.id) => cookie_value(event.id, event.args[0]),
            _ => 0,
        };
        check_eq!(
            event.cookie,
            expected,
            "cookie of {} at {:?}",
            event.id,
            event.phase()
        );
    }
    Ok(())
}

fn cookie_zero(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    for _ in 0..3 {
        session.test_run()?;
    }
    let events: [_; 6] = log.take_exactly()?;
    check_eq!(events[0].args[0], FIRST_ARG, "first argument");
    check_cookies(&events, |_| true)
}

fn cookie_each_its_own(env: &Env) -> Result<()> {
    let log = env.log()?;
    let first = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    let without = log.load(Spec::new(Kind::Session, TARGET))?;
    let last = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    let tramp = env.trampoline()?;
    for session in [&first, &without, &last] {
        tramp.add(session)?;
    }
    first.test_run()?;
    check_cookies(&log.take_exactly::<6>()?, |id| id != without.id)?;

    // The slots move up when one goes.
    tramp.remove(&last)?;
    first.test_run()?;
    check_cookies(&log.take_exactly::<4>()?, |id| id != without.id)
}

pub fn add_most(
    env: &Env,
    log: &Log,
) -> Result<(crate::attach::Trampoline, Vec<crate::probe::Probe>)> {
    let tramp = env.trampoline()?;
    let mut sessions = Vec::new();
    for _ in 0..abi::MAX_COOKIES {
        let session = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
        tramp.add(&session)?;
        sessions.push(session);
    }
    Ok((tramp, sessions))
}

fn cookie_most(env: &Env) -> Result<()> {
    let log = env.log()?;
    let (_tramp, sessions) = add_most(env, &log)?;
    sessions[0].test_run()?;
    check_cookies(&log.take_exactly::<8>()?, |_| true)
}

fn cookie_beside_bpf_cookie(env: &Env) -> Result<()> {
    const BPF_COOKIE: u64 = 0xb0b0_1111_2222_3333;
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, TARGET).cookie().ip())?;
    let tramp = env.trampoline()?;
    tramp.add_with_cookie(&session, BPF_COOKIE)?;
    session.test_run()?;

    let events: [_; 2] = log.take_exactly()?;
    for event in &events {
        check_eq!(event.bpf_cookie, BPF_COOKIE, "bpf_get_attach_cookie()");
    }
    check_cookies(&events, |_| true)
}

fn cookie_per_call(env: &Env) -> Result<()> {
    const CPUS: u64 = 2;
    const CALLS: u64 = 20;
    let log = env.log()?;
    let session = log.load(
        Spec::new(Kind::Session, "hrtimer_nanosleep")
            .this_process()
            .cookie(),
    )?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    thread::scope(|scope| {
        for cpu in 0..CPUS {
            scope.spawn(move || {
                // A program that is preempted by another call of itself on the
                // same CPU makes the kernel leave that call out.
                stay_on(cpu as usize);
                for call in 0..CALLS {
                    // Times that no other call has tell the calls apart.
                    thread::sleep(Duration::from_nanos(3_000_000 + cpu * CALLS + call));
                }
            });
        }
    });
    tramp.remove(&session)?;

    let events = log.take()?;
    check_eq!(events.len() as u64, 2 * CPUS * CALLS, "number of records");
    check_cookies(&events, |_| true)?;
    let mut overlapped = false;
    let mut inside = HashSet::new();
    for event in &events {
        match event.phase() {
            Phase::Entry => inside.insert(event.tid),
            Phase::Return => inside.remove(&event.tid),
        };
        overlapped |= inside.len() > 1;
    }
    ensure!(overlapped, "no two calls overlapped, nothing was shown");
    Ok(())
}

/// Keeps the calling thread on one CPU, where the machine has it.
pub fn stay_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    let _ = sched_setaffinity(None, &set);
}
