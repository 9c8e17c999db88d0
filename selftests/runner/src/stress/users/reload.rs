// SPDX-License-Identifier: GPL-2.0

//! The module goes and comes: under the hands of its users, which it must survive by not
//! going, and under the feet of the images that it built for the kernel.

use std::fs::File;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rustix::event::{eventfd, EventfdFlags};

use crate::bpf;
use crate::device::Device;
use crate::hooks::{self, Mode, Stats};
use crate::kmod;
use crate::stress::board::Count;
use crate::stress::machine::freezer;
use crate::stress::programs::What;
use crate::stress::stuck;
use crate::stress::turn::Turn;

const FILES: [&str; 4] = [
    crate::device::PATH,
    "/sys/kernel/debug/rust_fsession/mode",
    "/sys/kernel/debug/rust_fsession/stats",
    "/sys/kernel/debug/rust_fsession/mismatches/00",
];

/// How long the module stays at least.
const STAYS: Duration = Duration::from_secs(3);

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    while turn.next()? {
        let begin = Instant::now();
        match turn.draw.below(3) {
            0 => at_once(turn)?,
            _ => alone(turn)?,
        }
        // Others want to do something, too, and had to wait.
        let took = begin.elapsed();
        turn.say("leave the module alone")?;
        turn.wait(STAYS.max(took))?;
        turn.pause(3000)?;
    }
    turn.stage.board.leave(false)?;
    Ok(())
}

/// Whoever is there.
fn at_once(turn: &mut Turn<'_>) -> Result<()> {
    turn.say("unload while others are there")?;
    Stats::read()?.check_clean()?;
    let unfrozen = freezer::unfrozen()?;
    let unloaded = kmod::unload();
    drop(unfrozen);
    match unloaded {
        Ok(()) => load(turn),
        Err(err) if err.raw_os_error() == Some(libc::EWOULDBLOCK) => {
            turn.count(Count::Refused, 1);
            Ok(())
        }
        Err(err) => Err(err).context("cannot unload the module"),
    }
}

fn load(turn: &mut Turn<'_>) -> Result<()> {
    turn.pause(30)?;
    turn.say("load")?;
    match kmod::load(&turn.stage.module) {
        Err(err) => bail!("cannot load the module again: {err}"),
        Ok(()) => turn.count(Count::Reloaded, 1),
    }
    if turn.draw.once_in(2) {
        // May meet somebody who has turned ftrace off.
        let _ = hooks::write(Mode::Takeover.name());
    }
    Ok(())
}

/// Asks everybody off the device, sees that nothing lets go of the module which still
/// needs it, and unloads.
fn alone(turn: &mut Turn<'_>) -> Result<()> {
    turn.say("ask everybody off the device")?;
    turn.stage.board.leave(true)?;
    let board = &turn.stage.board;
    // Nor may an image that waits for its last task be what keeps the module.
    let unneeded = turn.wait_for("nobody needs the module", || {
        let unused = board.inside()? == 0 && kmod::references()? == 0;
        Ok(unused || board.notices()?.stop != 0)
    });
    unneeded.with_context(|| {
        let (inside, references) = (board.inside(), kmod::references());
        let stacks = stuck::in_images();
        format!("{inside:?} users, {references:?} references, in images:\n{stacks}")
    })?;
    if turn.is_over()? {
        return Ok(());
    }
    files_open(turn)?;
    task_in_image(turn)?;
    Stats::read()?.check_clean()?;
    turn.say("unload")?;
    let unfrozen = freezer::unfrozen()?;
    turn.wait_for("the module can be unloaded", || match kmod::unload() {
        Ok(()) => Ok(true),
        Err(err) if err.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        Err(err) => Err(err.into()),
    })?;
    drop(unfrozen);
    load(turn)?;
    turn.stage.board.leave(false)?;
    Ok(())
}

fn must_stay(why: &str) -> Result<()> {
    match kmod::unload() {
        Err(err) if err.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(()),
        Err(err) => Err(err).context("the module cannot be unloaded"),
        Ok(()) => bail!("the module was unloaded, {why}"),
    }
}

/// With each of its files open.
fn files_open(turn: &mut Turn<'_>) -> Result<()> {
    for path in FILES {
        turn.say(format!("unload with {path} open"))?;
        let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
        must_stay(path)?;
        drop(file);
    }
    Ok(())
}

/// The descriptor is closed, but a task is in its image.
fn task_in_image(turn: &mut Turn<'_>) -> Result<()> {
    turn.say("unload with a task in an image")?;
    // Who is frozen leaves the function, and enters it again without a program.
    let _unfrozen = freezer::unfrozen()?;
    let programs = &turn.stage.programs;
    let place = turn.places().start;
    programs.clear(place, 0)?;
    let id = programs.function("eventfd_read")?.id;
    let prog = match programs.load_for(What::WithCookie, false, id) {
        Err(err) if turn.stage.may_fail(&err) => return Ok(()),
        prog => prog.context("cannot load a session")?,
    };
    let device = Device::open()?;
    device.add(prog.as_fd(), turn.cookie(place, 1))?;
    let event = eventfd(0, EventfdFlags::CLOEXEC)?;
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| rustix::io::read(&event, &mut [0; 8]));
        // A call that interrupts another one of the same program is left out.
        let begin = Instant::now();
        let asleep = turn.wait_for("a task is asleep", || {
            let missed = begin.elapsed() > STAYS && bpf::misses(prog.as_fd())? > 0;
            Ok(missed || programs.seen(place)?.own_entries > 0)
        });
        let entered = programs.seen(place)?.own_entries > 0;
        drop(device);
        let result = asleep.and_then(|()| match entered {
            true => must_stay("a task is in its image"),
            false => Ok(()),
        });
        let paused = turn.pause(100);
        rustix::io::write(&event, &1u64.to_ne_bytes())?;
        let read = sleeper.join().expect("a sleeper does not panic");
        ensure!(read == Ok(8), "a sleeper got {read:?}");
        result.and(paused)
    })
}
