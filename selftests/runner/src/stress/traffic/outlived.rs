// SPDX-License-Identifier: GPL-2.0

//! How long an image lives that nobody needs: on a busy machine nobody knows but by trying.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use crate::device::Device;
use crate::kallsyms;
use crate::stress::programs::What;
use crate::stress::turn::Turn;

/// Nobody calls these often, and one is enough for each actor that waits like this.
const TARGETS: [&str; 3] = [
    "__x64_sys_setfsuid",
    "__x64_sys_setfsgid",
    "__x64_sys_alarm",
];

/// Whether an image of this name is at this address.
pub fn is_listed(target: &str, addr: u64) -> Result<bool> {
    let name = format!("{}{target}", kallsyms::IMAGE_PREFIX);
    let images = kallsyms::images()?;
    let mut images = images.iter();
    Ok(images.any(|image| image.addr == addr && image.name == name))
}

/// Waits for longer than that, or until the device is to be left alone: to detach the last
/// program takes a grace period of tasks RCU, and to free an image takes two.
pub fn wait(turn: &mut Turn<'_>) -> Result<()> {
    const GRACE_PERIODS: usize = 3;

    let programs = &turn.stage.programs;
    let device = Device::open().context("cannot open the device")?;
    // It can be used by one at a time.
    for target in TARGETS {
        let id = programs.function(target)?.id;
        let prog = match programs.load_for(What::Fentry, false, id) {
            Err(err) if turn.stage.may_fail(&err) => return Ok(()),
            prog => prog.context("cannot load a program")?,
        };
        for round in 0..GRACE_PERIODS {
            match device.add(prog.as_fd(), turn.cookie(turn.places().end - 1, 0)) {
                Ok(()) => device.remove(prog.as_fd()).context("cannot detach")?,
                Err(err) if err.raw_os_error() == Some(libc::EBUSY) => break,
                Err(err) => {
                    ensure!(turn.stage.may_fail(&err), "cannot attach: {err}");
                    return Ok(());
                }
            }
            if turn.must_leave()? || round + 1 == GRACE_PERIODS {
                return Ok(());
            }
            turn.wait(Duration::ZERO)?;
        }
    }
    Ok(())
}
