// SPDX-License-Identifier: GPL-2.0

//! Tasks asleep in a function that the device traces, while the programs on it change:
//! each returns by the image through which it came.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use anyhow::{ensure, Context, Result};
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags};

use super::outlived;
use crate::bpf;
use crate::device::Device;
use crate::stress::board::Count;
use crate::stress::gate::Gate;
use crate::stress::machine::freezer;
use crate::stress::programs::{Seen, What};
use crate::stress::turn::Turn;

pub const TARGET: &str = "__x64_sys_ppoll";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Close,
    Remove,
    /// The second program comes.
    Add,
    /// The second one comes, another task as well, and the first one goes from two images.
    Replace,
    /// The descriptor is closed, and who does that is held before the program is patched out:
    /// nobody else has the program any more.
    CloseSlowly,
}

const CHANGES: [Change; 5] = [
    Change::Close,
    Change::Remove,
    Change::Add,
    Change::Replace,
    Change::CloseSlowly,
];

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
    let change = turn.each(&CHANGES);
    turn.say(format!("sleep and {change:?}"))?;
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
    if change == Change::CloseSlowly {
        return close_slowly(turn, device, progs.swap_remove(0), places[0]);
    }
    let event = eventfd(0, EventfdFlags::CLOEXEC)?;
    let slept = thread::scope(|scope| -> Result<bool> {
        // (A signal ends it as well.)
        let sleep = || poll(&mut [PollFd::new(&event, PollFlags::IN)], None);
        let mut sleepers = vec![scope.spawn(sleep)];
        let changed = || -> Result<bool> {
            wait_asleep(turn, &progs[0], places[0])?;
            match change {
                Change::Remove => device.remove(progs[0].as_fd()).context("cannot detach")?,
                Change::Add | Change::Replace => {
                    let cookie = turn.cookie(places[1], ids + 1);
                    match device.add(progs[1].as_fd(), cookie) {
                        Err(err) if turn.stage.may_fail(&err) => return Ok(false),
                        added => added.context("cannot attach another")?,
                    }
                    if change == Change::Replace {
                        sleepers.push(scope.spawn(sleep));
                        wait_asleep(turn, &progs[1], places[1])?;
                        device.remove(progs[0].as_fd()).context("cannot detach")?;
                    }
                }
                Change::Close | Change::CloseSlowly => drop(device),
            }
            turn.count(Count::Changed, 1);
            // What goes with an image that nobody needs goes before they return.
            if turn.draw.once_in(2) {
                turn.say(format!("outlive {change:?}"))?;
                outlived::wait(turn)?;
            }
            Ok(true)
        };
        let changed = changed();
        // Or else they did not sleep meanwhile.
        let slept = sleepers.iter().all(|sleeper| !sleeper.is_finished());
        rustix::io::write(&event, &1u64.to_ne_bytes())?;
        for sleeper in sleepers {
            let _ = sleeper.join().expect("a sleeper does not panic");
        }
        Ok(changed? && slept)
    })?;
    let seen = |nr: usize| -> Result<(Seen, u64)> {
        let missed = bpf::misses(progs[nr].as_fd())?;
        Ok((programs.seen(places[nr])?, missed))
    };
    let (first, first_missed) = seen(0)?;
    let (second, second_missed) = seen(1)?;
    turn.count(Count::Events, first.entries + first.returns);
    if !slept {
        return Ok(());
    }
    turn.count(Count::Checked, 1);
    ensure!(
        first.wrong == 0
            && second.wrong == 0
            && first.alone <= first_missed
            && second.alone <= second_missed,
        "{change:?}: sessions saw {first:?} and {second:?}"
    );
    if change == Change::Add {
        ensure!(
            first.own_returns + first_missed >= 1,
            "a session lost its return to a change: {first:?}"
        );
    } else {
        ensure!(
            first.own_returns == 0,
            "{change:?}: a detached session saw a return: {first:?}"
        );
    }
    if change == Change::Replace {
        ensure!(
            second.own_returns <= 1 && second.own_returns + second_missed >= 1,
            "{change:?}: a session lost a return, or saw another's: {second:?}"
        );
    } else {
        ensure!(
            second.own_returns == 0,
            "{change:?}: a session saw the return of a call before it: {second:?}"
        );
    }
    Ok(())
}

/// Until a call of this process is in the function.
fn wait_asleep(turn: &mut Turn<'_>, prog: &OwnedFd, place: usize) -> Result<()> {
    let programs = &turn.stage.programs;
    turn.wait_for("a task is asleep", || {
        let missed = bpf::misses(prog.as_fd())?;
        Ok(missed > 0 || programs.seen(place)?.own_entries > 0)
    })
}

/// Whoever closes the descriptor has the last reference on the program, and the task that is
/// asleep still calls it on its return.
fn close_slowly(turn: &mut Turn<'_>, device: Device, prog: OwnedFd, place: usize) -> Result<()> {
    let event = eventfd(0, EventfdFlags::CLOEXEC)?;
    let wake = || rustix::io::write(&event, &1u64.to_ne_bytes());
    thread::scope(|scope| -> Result<()> {
        // (A signal ends it as well.)
        let sleeper = scope.spawn(|| poll(&mut [PollFd::new(&event, PollFlags::IN)], None));
        let asleep = wait_asleep(turn, &prog, place);
        drop(prog);
        let held = asleep.and_then(|()| Gate::hold(scope, move || drop(device)));
        let closed = held.and_then(|(gate, closer)| {
            turn.wait_for("the closer is held", || {
                Ok(gate.holds()? || closer.is_finished())
            })?;
            outlived::wait(turn)?;
            wake()?;
            turn.wait_for("the sleeper returns", || Ok(sleeper.is_finished()))
        });
        wake()?;
        let _ = sleeper.join().expect("a sleeper does not panic");
        closed
    })?;
    let seen = turn.stage.programs.seen(place)?;
    turn.count(Count::Checked, 1);
    ensure!(
        seen.wrong == 0 && seen.own_returns <= 1,
        "a session saw {seen:?}"
    );
    Ok(())
}
