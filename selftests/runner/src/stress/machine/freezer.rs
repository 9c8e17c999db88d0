// SPDX-License-Identifier: GPL-2.0

//! Processes are frozen wherever they are, one by one by their cgroup, and all of them as
//! before a suspend.

use std::fs::{self, File};

use anyhow::{Context, Result};
use rustix::fs::FlockOperation;

use crate::stress::board::Count;
use crate::stress::lock::lock;
use crate::stress::turn::Turn;
use crate::stress::users::cgroups::CGROUPS;

pub fn missing() -> Option<String> {
    let procs = format!("{CGROUPS}/cgroup.procs");
    (!fs::exists(&procs).unwrap_or(false)).then(|| format!("no {procs}"))
}

pub fn cgroup(turn: &mut Turn<'_>) -> Result<()> {
    let path = format!("{CGROUPS}/frozen");
    if !fs::exists(&path)? {
        fs::create_dir(&path)?;
    }
    let freeze = format!("{path}/cgroup.freeze");
    while turn.next()? {
        let pids = turn.stage.board.pids()?;
        if !pids.is_empty() {
            let pid = turn.draw.pick(&pids).to_string();
            turn.say(format!("freeze {pid}"))?;
            let others = frozen()?;
            // It may have been killed.
            let _ = fs::write(format!("{path}/cgroup.procs"), &pid);
            fs::write(&freeze, "1").context("cannot freeze")?;
            turn.pause(300)?;
            fs::write(&freeze, "0").context("cannot thaw")?;
            drop(others);
            let _ = fs::write(format!("{CGROUPS}/cgroup.procs"), &pid);
            turn.count(Count::Actions, 1);
        }
        turn.pause(500)?;
    }
    Ok(())
}

/// A task that sleeps in a program cannot be frozen, nor can one that waits for it as
/// unloading a module does; one that sleeps in a function leaves it for that. While the
/// returned value lives, nobody tries.
pub fn unfrozen() -> Result<File> {
    // Who wants to freeze keeps the door, so that the house becomes empty.
    let _door = lock("door", FlockOperation::LockShared)?;
    lock("house", FlockOperation::LockShared)
}

/// Once nobody is asleep in a program, and while the returned value lives, nobody will be.
pub fn frozen() -> Result<[File; 2]> {
    let how = FlockOperation::LockExclusive;
    Ok([lock("door", how)?, lock("house", how)?])
}

const TEST: &str = "/sys/power/pm_test";

pub fn no_suspend() -> Option<String> {
    let delay = "/sys/module/suspend/parameters/pm_test_delay";
    [TEST, delay]
        .into_iter()
        .find(|path| !fs::exists(path).unwrap_or(false))
        .map(|path| format!("no {path} (CONFIG_PM_DEBUG)"))
}

/// Everything but the suspend itself.
pub fn suspend(turn: &mut Turn<'_>) -> Result<()> {
    fs::write("/sys/module/suspend/parameters/pm_test_delay", "1")?;
    fs::write(TEST, "freezer").context(TEST)?;
    while turn.next()? {
        turn.pause(2000)?;
        turn.say("freeze all")?;
        let _frozen = frozen()?;
        match fs::write("/sys/power/state", "freeze") {
            Ok(()) => turn.count(Count::Actions, 1),
            // Somebody does not freeze in time.
            Err(_) => turn.count(Count::Refused, 1),
        }
    }
    Ok(())
}
