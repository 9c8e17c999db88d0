// SPDX-License-Identifier: GPL-2.0

//! A task asleep in a function that the device traces, while the programs on it change:
//! it returns by the image through which it came.

use std::os::fd::AsFd;
use std::thread;

use anyhow::{ensure, Context, Result};
use rustix::event::{poll, Timespec};

use crate::device::Device;
use crate::stress::board::Count;
use crate::stress::machine::freezer;
use crate::stress::programs::What;
use crate::stress::turn::Turn;

pub const TARGET: &str = "__x64_sys_ppoll";

/// Longer than an image lives that nobody needs.
const SLEEP: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

const CHANGES: [&str; 3] = ["close", "remove", "add another"];

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let mut ids = 0;
    while turn.next_inside()? {
        ids += 2;
        // Who is frozen leaves the function, and enters it again.
        let _unfrozen = freezer::unfrozen()?;
        once(turn, ids)?;
    }
    Ok(())
}

fn once(turn: &mut Turn<'_>, ids: u64) -> Result<()> {
    let change = turn.draw.below(CHANGES.len());
    turn.say(format!("sleep and {}", CHANGES[change]))?;
    let programs = &turn.stage.programs;
    let id = programs.function(TARGET)?.id;
    let places = [turn.places().start, turn.places().start + 1];
    let mut progs = Vec::new();
    for place in places {
        programs.clear(place, 0)?;
        match programs.load_for(What::WithCookie, false, id) {
            Err(err) if turn.stage.may_fail(&err) => return Ok(()),
            prog => progs.push(prog.context("cannot load a session")?),
        }
    }
    let Ok(device) = Device::open() else {
        turn.count(Count::Refused, 1);
        return turn.pause(100);
    };
    if let Err(err) = device.add(progs[0].as_fd(), turn.cookie(places[0], ids)) {
        ensure!(turn.stage.may_fail(&err), "cannot attach: {err}");
        return Ok(());
    }
    turn.count(Count::Attached, 1);
    let returned = thread::scope(|scope| -> Result<bool> {
        let sleeper = scope.spawn(|| poll(&mut [], Some(&SLEEP)));
        turn.wait_for("a task is asleep", || {
            let missed = crate::bpf::misses(progs[0].as_fd())?;
            Ok(missed > 0 || programs.seen(places[0])?.own_entries > 0)
        })?;
        match change {
            0 => drop(device),
            1 => device.remove(progs[0].as_fd()).context("cannot detach")?,
            _ => match device.add(progs[1].as_fd(), turn.cookie(places[1], ids + 1)) {
                Err(err) if turn.stage.may_fail(&err) => (),
                added => added.context("cannot attach another")?,
            },
        }
        turn.count(Count::Changed, 1);
        // Or else it did not sleep meanwhile.
        let asleep = !sleeper.is_finished();
        let _ = sleeper.join().expect("a sleeper does not panic");
        Ok(asleep)
    })?;
    let missed = crate::bpf::misses(progs[0].as_fd())?;
    let (first, second) = (programs.seen(places[0])?, programs.seen(places[1])?);
    turn.count(Count::Events, first.entries + first.returns);
    if !returned {
        return Ok(());
    }
    turn.count(Count::Checked, 1);
    ensure!(
        first.wrong == 0 && second.wrong == 0 && first.alone <= missed && second.own_returns == 0,
        "sessions saw {first:?} and {second:?}"
    );
    match change {
        0 | 1 => ensure!(
            first.own_returns == 0,
            "a detached session saw a return: {first:?}"
        ),
        _ => ensure!(
            first.own_returns + missed >= 1,
            "a session lost its return to a change: {first:?}"
        ),
    }
    Ok(())
}
