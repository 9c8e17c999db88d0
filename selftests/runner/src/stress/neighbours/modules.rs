// SPDX-License-Identifier: GPL-2.0

//! Other modules come and go: one that has a direct call of its own, and one that puts
//! a kprobe with a post handler on a function.

use std::ffi::CString;
use std::fs;

use anyhow::{bail, Context, Result};

use crate::kmod;
use crate::stress::board::Count;
use crate::stress::turn::Turn;

fn unload(turn: &mut Turn<'_>, name: &str) -> Result<()> {
    let text = CString::new(name)?;
    turn.wait_for("a module can be unloaded", || {
        match kmod::unload_other(&text) {
            Ok(()) => Ok(true),
            Err(err) if err.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
            Err(err) => bail!("cannot unload {text:?}: {err}"),
        }
    })
}

/// The direct call is on a function that users want as well.
pub fn direct(turn: &mut Turn<'_>) -> Result<()> {
    const NAME: &str = "rust_fsession_direct";
    let path = turn.stage.other_module(NAME);
    while turn.next()? {
        turn.say(NAME)?;
        match kmod::load(&path) {
            Ok(()) => {
                turn.pause(300)?;
                unload(turn, NAME)?;
                turn.count(Count::Actions, 1);
            }
            Err(err) => match err.raw_os_error() {
                Some(libc::EBUSY | libc::EINVAL | libc::ENODEV) => turn.count(Count::Refused, 1),
                _ => return Err(err).with_context(|| format!("cannot load {NAME}")),
            },
        }
        turn.pause(400)?;
    }
    Ok(())
}

pub fn faults(turn: &mut Turn<'_>) -> Result<()> {
    const NAME: &str = "rust_fsession_faults";
    let path = turn.stage.other_module(NAME);
    while turn.next()? {
        turn.say(NAME)?;
        kmod::load(&path).with_context(|| format!("cannot load {NAME}"))?;
        // Its handler changes the instruction pointer, so that the two exclude each other.
        let function = *turn.draw.pick(&["bpf_fentry_test10", "bpf_fentry_test8"]);
        let parameter = format!("/sys/module/{NAME}/parameters/function");
        match fs::write(&parameter, function) {
            Ok(()) => turn.count(Count::Actions, 1),
            Err(_) => turn.count(Count::Refused, 1),
        }
        turn.pause(200)?;
        unload(turn, NAME)?;
        turn.pause(400)?;
    }
    Ok(())
}
