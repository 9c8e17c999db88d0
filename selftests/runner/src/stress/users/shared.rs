// SPDX-License-Identifier: GPL-2.0

//! One descriptor of the device in the hands of two threads, which do the same at the
//! same time: one of them is first.

use std::io;
use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::{called, functions::Call};
use crate::bpf;
use crate::device::Device;
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::traffic::realtime;
use crate::stress::turn::Turn;
use crate::tests::{cookie::stay_on, settle};

pub const TARGET: &str = "bpf_fentry_test9";

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let function = turn.stage.programs.function(TARGET)?.clone();
    assert_eq!(function.call, Call::TestRun);
    let place = turn.places().start;
    let mut ids = 0;
    while turn.next_inside()? {
        let programs = &turn.stage.programs;
        programs.clear(place, 0)?;
        turn.say("open one for two")?;
        let Ok(device) = Device::open() else {
            turn.count(Count::Refused, 1);
            turn.pause(100)?;
            continue;
        };
        let load = |what| programs.load_for(what, false, function.id);
        let (prog, other) = match (load(What::WithCookie), load(What::Fexit)) {
            (Err(err), _) | (_, Err(err)) if turn.stage.may_fail(&err) => continue,
            (prog, other) => (
                prog.context("cannot load a session")?,
                other.context("cannot load a program")?,
            ),
        };
        turn.count(Count::Loaded, 2);
        ids += 2;
        let (cookie, of_other) = (turn.cookie(place, ids), turn.cookie(place + 1, ids + 1));
        let add = || device.add_only(prog.as_fd(), cookie);

        let added = if turn.each(&[true, false]) {
            turn.say("add by two")?;
            both(add)
        } else {
            turn.say("add by two that wait for a third one")?;
            queued(|| device.add_only(other.as_fd(), of_other), add)?
        };
        one(&added, libc::EBUSY).context("two add one program")?;
        let (info, has_other) = (device.info()?, device.remove_only(other.as_fd()).is_ok());
        ensure!(
            info.nr_progs() == 1 + u32::from(has_other),
            "{} programs for one, or two",
            info.nr_progs()
        );
        turn.count(Count::Attached, 1);

        let before = programs.seen(place)?;
        bpf::test_run(prog.as_fd())?;
        let seen = programs.seen(place)?;
        let missed = bpf::misses(prog.as_fd())?;
        let (entries, returns) = (
            seen.own_entries - before.own_entries,
            seen.own_returns - before.own_returns,
        );
        ensure!(
            (entries <= 1 && returns <= 1 && entries + returns + missed >= 2),
            "a session saw {entries} entries and {returns} returns of a call"
        );
        turn.count(Count::Checked, 1);

        turn.say("remove by two what a third one calls")?;
        let call = || bpf::test_run(prog.as_fd()).map(|_| ()).map_err(Into::into);
        let remove = || both(|| device.remove_only(prog.as_fd()));
        let removed = called::meanwhile(turn.stage.cpus, call, remove)?;
        one(&removed, libc::ENOENT).context("two remove one program")?;
        turn.count(Count::Detached, 1);
        settle()?;
        let (seen, missed) = (programs.seen(place)?, bpf::misses(prog.as_fd())?);
        ensure!(
            seen.wrong == 0 && seen.alone <= missed,
            "a session saw {seen:?}, left out {missed} times"
        );
        turn.pause(50)?;
    }
    Ok(())
}

/// Has two threads do it.
fn both(act: impl Fn() -> io::Result<()> + Sync) -> [io::Result<()>; 2] {
    let barrier = Barrier::new(2);
    let wait_and_act = || {
        barrier.wait();
        act()
    };
    thread::scope(|scope| {
        let other = scope.spawn(wait_and_act);
        let own = wait_and_act();
        [own, other.join().expect("a thread does not panic")]
    })
}

/// Has two threads do it that wait for a third one, which does `long`. The second one takes
/// the CPU from the first one as soon as that lets it.
fn queued(
    long: impl Fn() -> io::Result<()> + Sync,
    act: impl Fn() -> io::Result<()> + Sync,
) -> Result<[io::Result<()>; 2]> {
    const APART: Duration = Duration::from_millis(5);

    let results = thread::scope(|scope| {
        let long = scope.spawn(|| {
            stay_on(1);
            long()
        });
        thread::sleep(APART);
        let first = scope.spawn(|| {
            stay_on(0);
            act()
        });
        thread::sleep(APART);
        let second = scope.spawn(|| {
            stay_on(0);
            realtime::first(1).map_err(io::Error::other)?;
            act()
        });
        [long, first, second].map(|thread| thread.join().expect("a thread does not panic"))
    });
    let [long, first, second] = results;
    long.context("cannot add a program")?;
    Ok([first, second])
}

fn failed(result: &io::Result<()>, errno: i32) -> bool {
    matches!(result, Err(err) if err.raw_os_error() == Some(errno))
}

/// One has done it, the other one was told so.
fn one(results: &[io::Result<()>; 2], errno: i32) -> Result<()> {
    let [own, other] = results;
    let good = (own.is_ok() && failed(other, errno)) || (failed(own, errno) && other.is_ok());
    ensure!(good, "they got {own:?} and {other:?}");
    Ok(())
}
