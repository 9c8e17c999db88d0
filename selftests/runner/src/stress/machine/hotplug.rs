// SPDX-License-Identifier: GPL-2.0

//! The last CPU goes and comes.

use std::fs;

use anyhow::{Context, Result};

use crate::stress::board::Count;
use crate::stress::machine::freezer;
use crate::stress::turn::Turn;

fn path(cpus: usize) -> String {
    format!("/sys/devices/system/cpu/cpu{}/online", cpus - 1)
}

pub fn missing() -> Option<String> {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
    let path = path(cpus);
    (!fs::exists(&path).unwrap_or(false)).then(|| format!("no {path}"))
}

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let path = path(turn.stage.cpus);
    while turn.next()? {
        turn.pause(2000)?;
        for (value, what) in [("0", "a CPU goes"), ("1", "a CPU comes")] {
            turn.say(what)?;
            // Who sleeps in a program stays on its CPU, which is not gone before; whoever
            // detaches the program waits for the CPU.
            let _nobody_asleep = freezer::frozen()?;
            // Not while everything is frozen.
            turn.wait_for(what, || match fs::write(&path, value) {
                Err(err) if err.raw_os_error() == Some(libc::EBUSY) => Ok(false),
                written => written.with_context(|| what.to_owned()).map(|()| true),
            })?;
            turn.count(Count::Actions, 1);
            turn.pause(500)?;
        }
    }
    Ok(())
}
