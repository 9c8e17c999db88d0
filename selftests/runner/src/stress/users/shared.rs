// SPDX-License-Identifier: GPL-2.0

//! One descriptor of the device in the hands of two threads, which do the same at the
//! same time: one of them is first.

use std::io;
use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;

use anyhow::{ensure, Context, Result};

use super::functions::Call;
use crate::bpf;
use crate::device::Device;
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::turn::Turn;

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
        let prog = match programs.load_for(What::WithCookie, false, function.id) {
            Err(err) if turn.stage.may_fail(&err) => continue,
            prog => prog.context("cannot load a session")?,
        };
        turn.count(Count::Loaded, 1);
        ids += 1;
        let cookie = turn.cookie(place, ids);

        turn.say("add by two")?;
        let added = both(|| device.add_only(prog.as_fd(), cookie));
        one(&added, libc::EBUSY).context("two add one program")?;
        let info = device.info()?;
        ensure!(info.nr_progs() == 1, "{} programs for one", info.nr_progs());
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

        turn.say("remove by two")?;
        let removed = both(|| device.remove_only(prog.as_fd()));
        one(&removed, libc::ENOENT).context("two remove one program")?;
        turn.count(Count::Detached, 1);
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
