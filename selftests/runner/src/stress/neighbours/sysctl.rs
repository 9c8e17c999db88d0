// SPDX-License-Identifier: GPL-2.0

//! `kernel.ftrace_enabled` cannot be turned off while the module uses ftrace.
//!
//! Where nobody forbids it, it is left alone: whoever unregisters from ftrace while it is off
//! leaves flags behind of which the kernel itself complains later (`ftrace_shutdown()`).

use std::fs;
use std::os::fd::AsFd;

use anyhow::{bail, ensure, Context, Result};

use crate::device::Device;
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::turn::Turn;

const ENABLED: &str = "/proc/sys/kernel/ftrace_enabled";
const TARGET: &str = "__x64_sys_umask";

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let id = turn.stage.programs.function(TARGET)?.id;
    while turn.next()? {
        turn.pause(300)?;
        if turn.must_leave()? {
            turn.inside(false)?;
            continue;
        }
        turn.inside(true)?;
        turn.say("keep ftrace in use")?;
        let Ok(device) = Device::open() else {
            turn.count(Count::Refused, 1);
            continue;
        };
        let prog = match turn.stage.programs.load_for(What::Session, false, id) {
            Err(err) if turn.stage.may_fail(&err) => continue,
            prog => prog.context("cannot load a session")?,
        };
        let place = turn.places().start;
        turn.stage.programs.clear(place, 0)?;
        if let Err(err) = device.add(prog.as_fd(), place as u64) {
            ensure!(turn.stage.may_fail(&err), "cannot attach: {err}");
            continue;
        }
        turn.say("turn ftrace off")?;
        let off = fs::write(ENABLED, "0").map_err(|err| (err.raw_os_error(), err));
        match off {
            Err((Some(libc::EBUSY), _)) => turn.count(Count::Actions, 1),
            // From 7.3 on, nothing turns it off.
            Err((Some(libc::EOPNOTSUPP), _)) => turn.count(Count::Refused, 1),
            Err((_, err)) => bail!("cannot turn ftrace off: {err}"),
            Ok(()) => bail!("ftrace was turned off, with a trampoline of the module in use"),
        }
    }
    Ok(())
}
