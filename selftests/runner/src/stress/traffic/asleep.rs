// SPDX-License-Identifier: GPL-2.0

//! Tasks asleep in sleepable programs, for want of a page of memory, while the programs
//! are detached and put.

use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use rustix::process::getpriority_process;
use rustix::system::sysinfo;

use super::outlived;
use crate::attach::{Trampoline, Via};
use crate::stress::board::Count;
use crate::stress::machine::freezer;
use crate::stress::programs::What;
use crate::stress::turn::Turn;
use crate::userfault::Page;

const BY_DEVICE: &str = "__x64_sys_getpriority";

pub fn missing() -> Option<String> {
    Page::new()
        .err()
        .map(|err| format!("no userfaultfd: {err}"))
}

/// The first one by the device, the second one by links, each on a function of its own.
pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let (via, name) = match turn.instance {
        0 => (Via::Device, BY_DEVICE),
        _ => (Via::Link, "__x64_sys_sysinfo"),
    };
    let id = turn.stage.programs.function(name)?.id;
    let mut ids = 0;
    while turn.next()? {
        if via == Via::Device && turn.must_leave()? {
            turn.inside(false)?;
            turn.pause(50)?;
            continue;
        }
        turn.inside(via == Via::Device)?;
        ids += 1;
        let _unfrozen = freezer::unfrozen()?;
        once(turn, via, id, ids)?;
        turn.pause(50)?;
    }
    Ok(())
}

fn once(turn: &mut Turn<'_>, via: Via, id: u32, nr: u64) -> Result<()> {
    // Images that do not call the function are waited for in another way.
    let kinds = [What::Fentry, What::Fentry, What::Fexit, What::WithCookie];
    let what = *turn.draw.pick(&kinds);
    turn.say(format!("sleep in {what:?}"))?;
    let programs = &turn.stage.programs;
    let page = Page::new()?;
    let place = turn.places().start;
    programs.clear(place, page.addr())?;
    let prog = match programs.load_for(what, true, id) {
        Err(err) if turn.stage.may_fail(&err) => return Ok(()),
        prog => prog.context("cannot load a sleepable program")?,
    };
    let Ok(tramp) = Trampoline::open(via) else {
        turn.count(Count::Refused, 1);
        return turn.pause(100);
    };
    let cookie = turn.cookie(place, nr);
    let added = tramp.try_add_fd(1, prog.as_fd(), what.kind(), cookie);
    if let Err(err) = added {
        ensure!(turn.stage.may_fail(&err), "cannot attach {what:?}: {err}");
        return Ok(());
    }
    turn.count(Count::Attached, 1);
    let image = match tramp.device() {
        Some(device) => Some(device.info()?.image_addr),
        None => None,
    };
    let call = || match via {
        Via::Device => drop(getpriority_process(None)),
        _ => drop(sysinfo()),
    };
    thread::scope(|scope| -> Result<()> {
        let sleeper = scope.spawn(call);
        let asleep = wait_asleep(turn, &page, &sleeper);
        let detached = match turn.draw.below(3) {
            0 => tramp
                .try_remove_fd(1, prog.as_fd())
                .context("cannot detach"),
            _ => Ok(()),
        };
        drop(tramp);
        drop(prog);
        let stayed = match (&asleep, image) {
            (Ok(true), Some(image)) if turn.each(&[true, false]) => stays(turn, image),
            _ => turn.pause(500),
        };
        page.fill(1)?;
        sleeper.join().expect("a sleeper does not panic");
        let slept = asleep?;
        detached.and(stayed)?;
        turn.count(Count::Detached, 1);
        turn.count(Count::Actions, slept.into());
        Ok(())
    })?;
    let seen = turn.stage.programs.seen(place)?;
    ensure!(seen.wrong == 0 && seen.alone == 0, "{what:?} saw {seen:?}");
    turn.count(Count::Events, seen.entries + seen.returns);
    Ok(())
}

/// The image of a task that sleeps outlives one that nobody needs.
fn stays(turn: &mut Turn<'_>, image: u64) -> Result<()> {
    turn.say("outlive another image")?;
    outlived::wait(turn)?;
    ensure!(
        outlived::is_listed(BY_DEVICE, image)?,
        "an image is freed, and a task is asleep in a program of it"
    );
    turn.count(Count::Checked, 1);
    Ok(())
}

/// Whether the call sleeps: where ftrace is off, it does not.
fn wait_asleep(
    turn: &mut Turn<'_>,
    page: &Page,
    sleeper: &thread::ScopedJoinHandle<'_, ()>,
) -> Result<bool> {
    for _ in 0..600 {
        if page.is_wanted(Duration::ZERO)? {
            return Ok(true);
        }
        if sleeper.is_finished() {
            return Ok(false);
        }
        turn.pause(20)?;
    }
    anyhow::bail!("nobody wanted the page")
}
