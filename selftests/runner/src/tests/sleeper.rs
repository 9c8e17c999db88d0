// SPDX-License-Identifier: GPL-2.0

//! A task that sleeps in the traced function while programs come and go: it
//! returns through the image that it came in by.

use std::thread;

use anyhow::{ensure, Result};
use rustix::event::{eventfd, EventfdFlags};

use super::wait_for;
use crate::harness::Env;
use crate::probe::{cookie_value, Kind, Log, Phase, Probe, Spec};

/// Sleeps until the event descriptor is written to.
pub const TARGET: &str = "eventfd_read";

tests! {
    sleeper_detached: "session removed and descriptor closed meanwhile",
    sleeper_one_removed: "the other session still sees its return",
    sleeper_readd: "a session that came back waits for the next call",
}

fn session(log: &Log) -> Result<Probe> {
    log.load(Spec::new(Kind::Session, TARGET).this_process().cookie())
}

/// Has a thread sleep in the target, under `probe`, while `body` runs.
pub fn while_asleep(probe: &Probe, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let event = eventfd(0, EventfdFlags::CLOEXEC)?;
    thread::scope(|scope| {
        let entries = probe.hits()?.entry;
        let sleeper = scope.spawn(|| rustix::io::read(&event, &mut [0; 8]));
        let asleep = wait_for("the thread is asleep", || Ok(probe.hits()?.entry > entries));
        let result = asleep.and_then(|()| body());
        let awake = sleeper.is_finished();
        rustix::io::write(&event, &1u64.to_ne_bytes())?;
        let read = sleeper.join().expect("a sleeper does not panic");
        result?;
        ensure!(!awake, "the thread did not sleep");
        check_eq!(read, Ok(8), "read() of the sleeper");
        Ok(())
    })
}

fn sleeper_detached(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = session(&log)?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    while_asleep(&session, || {
        tramp.remove(&session)?;
        drop(tramp);
        Ok(())
    })?;
    let hits = session.hits()?;
    check_eq!((hits.entry, hits.ret), (1, 0), "entries and returns");
    Ok(())
}

fn sleeper_one_removed(env: &Env) -> Result<()> {
    let log = env.log()?;
    let (goes, stays) = (session(&log)?, session(&log)?);
    let tramp = env.trampoline()?;
    tramp.add(&goes)?;
    tramp.add(&stays)?;
    while_asleep(&goes, || tramp.remove(&goes))?;

    let events = log.take()?;
    let order: Vec<_> = events
        .iter()
        .map(|event| (event.id, event.phase()))
        .collect();
    check_eq!(
        order,
        [
            (stays.id, Phase::Entry),
            (goes.id, Phase::Entry),
            (stays.id, Phase::Return),
        ],
        "records"
    );
    check_eq!(
        events[2].cookie,
        cookie_value(stays.id, events[2].args[0]),
        "cookie at return"
    );
    check_eq!(events[2].ret, 8, "return value");
    Ok(())
}

fn sleeper_readd(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = session(&log)?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    while_asleep(&session, || {
        tramp.remove(&session)?;
        tramp.add(&session)
    })?;
    // It was patched out of the image in which the thread slept.
    let hits = session.hits()?;
    check_eq!((hits.entry, hits.ret), (1, 0), "entries and returns");

    while_asleep(&session, || Ok(()))?;
    let hits = session.hits()?;
    check_eq!(
        (hits.entry, hits.ret),
        (2, 1),
        "entries and returns after the next call"
    );
    Ok(())
}
