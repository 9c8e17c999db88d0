// SPDX-License-Identifier: GPL-2.0

//! The mode of the hooks changes.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::hooks::{self, Mode};
use crate::stress::board::Count;
use crate::stress::turn::Turn;

/// What says that the module is away, or on its way.
const AWAY: [i32; 4] = [libc::ENOENT, libc::ENODEV, libc::ENXIO, libc::EIO];

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    // To write to the file keeps the module.
    while turn.next_inside()? {
        let mode = *turn
            .draw
            .pick(&[Mode::Takeover, Mode::Off, Mode::Shadow, Mode::Takeover]);
        turn.say(format!("mode {}", mode.name()))?;
        let begin = Instant::now();
        match hooks::write(mode.name()) {
            Ok(()) => turn.count(Count::Switched, 1),
            Err(err) if err.raw_os_error().is_some_and(|no| AWAY.contains(&no)) => {
                turn.count(Count::Refused, 1);
                turn.pause(100)?;
            }
            Err(err) if turn.stage.may_fail(&err) => turn.count(Count::Refused, 1),
            Err(err) => return Err(err).with_context(|| format!("mode {}", mode.name())),
        }
        // Whoever attaches needs the same locks of ftrace, which are not fair.
        let took = begin.elapsed();
        turn.wait(2 * took)?;
        turn.pause(40)?;
    }
    Ok(())
}
