// SPDX-License-Identifier: GPL-2.0

//! A live patch comes and goes: every task has to be seen outside of the old function, so
//! that stacks are walked through images.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};

use crate::kmod;
use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::targets::Targets;

const PATCH: &str = "rust_fsession_livepatch";
const SYSFS: &str = "/sys/kernel/livepatch/rust_fsession_livepatch";

pub fn missing() -> Option<String> {
    (!Path::new("/sys/kernel/livepatch").exists())
        .then(|| "the kernel has no live patches".to_owned())
}

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let path = turn.stage.other_module(PATCH);
    let targets = Targets::open().context("cannot open the test targets")?;
    while turn.next()? {
        turn.say("patch alive")?;
        match kmod::load(&path) {
            Ok(()) => (),
            Err(err) => return Err(err).context("cannot load the live patch"),
        }
        turn.wait_for("every task has the patch", || {
            Ok(fs::read_to_string(format!("{SYSFS}/transition"))? == "0\n")
        })?;
        let got = targets.call("patched", &[5, 3])?;
        ensure!(got == 2, "a patched function returns {got}");
        turn.pause(300)?;
        turn.say("take the patch back")?;
        fs::write(format!("{SYSFS}/enabled"), "0").context("cannot take the patch back")?;
        turn.wait_for("no task has the patch", || Ok(!Path::new(SYSFS).exists()))?;
        let name = std::ffi::CString::new(PATCH)?;
        turn.wait_for("the patch can be unloaded", || {
            Ok(kmod::unload_other(&name).is_ok())
        })?;
        turn.count(Count::Actions, 1);
        turn.pause(800)?;
    }
    Ok(())
}
