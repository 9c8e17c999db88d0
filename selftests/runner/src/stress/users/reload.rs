// SPDX-License-Identifier: GPL-2.0

//! The module goes and comes: under the hands of its users, which it must survive by not
//! going, and under the feet of the images that it built for the kernel.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rustix::event::{eventfd, EventfdFlags};

use crate::bpf;
use crate::device::Device;
use crate::hooks::{self, Mode, Stats};
use crate::kmod;
use crate::probe::Kind;
use crate::stress::board::Count;
use crate::stress::gate::Gate;
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

/// What a caller attaches to that is held in a hook, and for which part of the time that an
/// actor may wait: to unload the module takes less.
const HELD_TARGET: &str = "__x64_sys_times";
const HELD: u32 = 20;

/// How long the module stays at least.
const STAYS: Duration = Duration::from_secs(3);

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let mut ways = WAYS.iter().cycle();
    while turn.next()? {
        let begin = Instant::now();
        match ways.next() {
            Some(Way::WithCaller) => alone(turn, caller_in_hook)?,
            Some(Way::Unused) => alone(turn, unused)?,
            _ => at_once(turn)?,
        }
        // Others want to do something, too, and had to wait.
        let took = begin.elapsed();
        turn.say("leave the module alone")?;
        turn.wait(STAYS.max(2 * took))?;
        turn.pause(3000)?;
    }
    turn.stage.board.leave(false)?;
    Ok(())
}

/// How the module is unloaded.
enum Way {
    /// While a caller is in one of its hooks.
    WithCaller,
    /// Whoever is there.
    AtOnce,
    /// When nobody is, which takes the longest.
    Unused,
}

const WAYS: [Way; 4] = [Way::WithCaller, Way::AtOnce, Way::Unused, Way::AtOnce];

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

/// Asks everybody off the device, unloads the module, and loads it.
fn alone(turn: &mut Turn<'_>, unload: fn(&mut Turn<'_>) -> Result<()>) -> Result<()> {
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
    unload(turn)?;
    load(turn)?;
    turn.stage.board.leave(false)?;
    Ok(())
}

/// Sees that nothing lets go of the module which still needs it.
fn needed(turn: &mut Turn<'_>) -> Result<()> {
    files_open(turn)?;
    task_in_image(turn)?;
    Stats::read()?.check_clean()
}

fn unused(turn: &mut Turn<'_>) -> Result<()> {
    needed(turn)?;
    turn.say("unload")?;
    let _unfrozen = freezer::unfrozen()?;
    turn.wait_for("the module can be unloaded", unloaded)
}

/// `false` while somebody uses the module.
fn unloaded() -> Result<bool> {
    match kmod::unload() {
        Ok(()) => Ok(true),
        Err(err) if err.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        Err(err) => Err(err).context("cannot unload the module"),
    }
}

/// Unloads the module while a task is asleep in one of its hooks, which waits for that.
fn caller_in_hook(turn: &mut Turn<'_>) -> Result<()> {
    needed(turn)?;
    turn.say("unload with a caller in a hook")?;
    let _unfrozen = freezer::unfrozen()?;
    let programs = &turn.stage.programs;
    let place = turn.places().start;
    programs.clear(place, 0)?;
    let id = programs.function(HELD_TARGET)?.id;
    let prog = match programs.load_for(What::Fentry, false, id) {
        Err(err) if turn.stage.may_fail(&err) => {
            return turn.wait_for("the module can be unloaded", unloaded)
        }
        prog => prog.context("cannot load a program")?,
    };
    // May meet somebody who has turned ftrace off. Then C builds, and the task is held in that.
    let in_hook = hooks::write(Mode::Takeover.name()).is_ok();
    let cookie = turn.cookie(place, 1);
    let link = thread::scope(|scope| -> Result<Option<OwnedFd>> {
        let attach = || bpf::link(prog.as_fd(), Kind::Fentry.attach_type(), cookie);
        let (gate, caller) = Gate::hold(scope, attach)?;
        turn.wait_for("a caller is held", || {
            Ok(gate.holds()? || caller.is_finished())
        })?;
        let unloader = scope.spawn(unloaded);
        turn.wait(turn.stage.patience / HELD)?;
        // (Somebody else may have had the module in use.)
        let early = unloader.is_finished() && gate.holds()?;
        drop(gate);
        let linked = caller.join().expect("a caller does not panic");
        let unloaded = unloader.join().expect("an unloader does not panic")?;
        ensure!(
            !(in_hook && early && unloaded),
            "the module was unloaded, and a caller was in one of its hooks"
        );
        if !unloaded {
            turn.wait_for("the module can be unloaded", self::unloaded)?;
        }
        match linked {
            Err(err) if turn.stage.may_fail(&err) => Ok(None),
            linked => linked.context("cannot attach").map(Some),
        }
    })?;
    turn.count(Count::Actions, link.is_some().into());
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
