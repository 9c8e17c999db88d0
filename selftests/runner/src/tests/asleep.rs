// SPDX-License-Identifier: GPL-2.0

//! Tasks asleep in sleepable programs, and what happens to the image meanwhile.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};
use rustix::process::{getpgid, getpgrp};

use super::{pause, wait_for};
use crate::harness::{skip, Env};
use crate::probe::{Kind, Log, Phase, Probe, Spec};
use crate::userfault::Page;

pub const TARGET: &str = "__x64_sys_getpgid";
pub const VALUE: u64 = 0x1122_3344_5566_7788;

tests! {
    asleep_removed: "a program is removed while a task sleeps in it",
    asleep_return: "likewise a fexit program",
    asleep_closed: "all are detached while a task sleeps in one",
    asleep_added: "a program comes while a task sleeps in another",
    asleep_older: "a program goes from an image that was replaced",
    asleep_released: "a program lives until who sleeps in it has left",
}

pub fn spec(kind: Kind, addr: u64) -> Spec {
    Spec::new(kind, TARGET).this_process().sleepable(addr)
}

pub fn userfault() -> Result<Page> {
    Page::new().map_err(|err| match err.kind() {
        io::ErrorKind::Unsupported => skip("no userfaultfd()"),
        _ => err.into(),
    })
}

/// Has a thread call the target and sleep in a program, for want of the page,
/// while `body` runs.
pub fn asleep(page: &Page, body: impl FnOnce() -> Result<()>) -> Result<()> {
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| getpgid(None));
        let result = page.wait_wanted().map_err(Into::into).and_then(|()| body());
        let awake = sleeper.is_finished();
        // Whatever happened, nobody is left waiting.
        page.fill(VALUE)?;
        let pgid = sleeper.join().expect("a sleeper does not panic")?;
        result?;
        check_eq!(pgid, getpgrp(), "what the sleeper's call gave");
        ensure!(!awake, "the thread did not sleep");
        Ok(())
    })
}

/// A program that sleeps, and a session beside it.
fn two(log: &Log, kind: Kind, page: &Page) -> Result<(Probe, Probe)> {
    let sleeps = log.load(spec(kind, page.addr()))?;
    let other = log.load(Spec::new(Kind::Session, TARGET).this_process().cookie())?;
    Ok((sleeps, other))
}

fn asleep_removed(env: &Env) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let (sleeps, other) = two(&log, Kind::Session, &page)?;
    let tramp = env.trampoline()?;
    tramp.add(&sleeps)?;
    tramp.add(&other)?;
    asleep(&page, || tramp.remove(&sleeps))?;
    // It finished its entry half; its return half was patched out.
    check_eq!(
        log.take_order()?,
        [
            (other.id, Phase::Entry),
            (sleeps.id, Phase::Entry),
            (other.id, Phase::Return),
        ],
        "records"
    );
    getpgid(None)?;
    let later = [(other.id, Phase::Entry), (other.id, Phase::Return)];
    check_eq!(log.take_order()?, later, "records of the next call");
    Ok(())
}

fn asleep_return(env: &Env) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let (sleeps, other) = two(&log, Kind::Fexit, &page)?;
    let tramp = env.trampoline()?;
    tramp.add(&other)?;
    tramp.add(&sleeps)?;
    asleep(&page, || tramp.remove(&sleeps))?;
    check_eq!(
        log.take_order()?,
        [
            (other.id, Phase::Entry),
            (sleeps.id, Phase::Return),
            (other.id, Phase::Return),
        ],
        "records"
    );
    Ok(())
}

fn asleep_closed(env: &Env) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let (sleeps, other) = two(&log, Kind::Session, &page)?;
    let tramp = env.trampoline()?;
    tramp.add(&other)?;
    tramp.add(&sleeps)?;
    asleep(&page, || {
        drop(tramp);
        // Long enough for every grace period but the sleeper's own.
        pause(Duration::from_millis(500));
        Ok(())
    })?;
    check_eq!(log.take_order()?, [(sleeps.id, Phase::Entry)], "records");
    getpgid(None)?;
    check_eq!(log.take_order()?, [], "records of the next call");
    Ok(())
}

fn asleep_added(env: &Env) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let (sleeps, other) = two(&log, Kind::Session, &page)?;
    let tramp = env.trampoline()?;
    tramp.add(&sleeps)?;
    asleep(&page, || tramp.add(&other))?;
    let seen = [(sleeps.id, Phase::Entry), (sleeps.id, Phase::Return)];
    check_eq!(log.take_order()?, seen, "records of who was there");
    getpgid(None)?;
    check_eq!(log.take()?.len(), 4, "records of the next call");
    Ok(())
}

fn asleep_older(env: &Env) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let (sleeps, other) = two(&log, Kind::Session, &page)?;
    let third = log.load(Spec::new(Kind::Fentry, TARGET).this_process())?;
    let tramp = env.trampoline()?;
    tramp.add(&other)?;
    tramp.add(&sleeps)?;
    asleep(&page, || {
        // The sleeper stays in the image before this one.
        tramp.add(&third)?;
        tramp.remove(&other)
    })?;
    let seen = [(sleeps.id, Phase::Entry), (sleeps.id, Phase::Return)];
    check_eq!(log.take_order()?, seen, "records of who was there");
    getpgid(None)?;
    check_eq!(log.take()?.len(), 3, "records of the next call");
    Ok(())
}

fn asleep_released(env: &Env) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let (sleeps, _) = two(&log, Kind::Session, &page)?;
    let id = sleeps.prog_id()?;
    let tramp = env.trampoline()?;
    tramp.add(&sleeps)?;
    asleep(&page, || {
        tramp.remove(&sleeps)?;
        drop(tramp);
        drop(sleeps);
        pause(Duration::from_millis(500));
        Ok(())
    })?;
    // That the sleeper came back shows that its code was still there.
    check_eq!(log.take()?.len(), 1, "records");
    wait_for("the program is freed", || Ok(!crate::bpf::prog_exists(id)))
}
