// SPDX-License-Identifier: GPL-2.0

//! Static keys and tracepoints are flipped: text is poked all the time.

use std::fs;

use anyhow::{Context, Result};

use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::tracing::write;

const SCHEDSTATS: &str = "/proc/sys/kernel/sched_schedstats";

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let events = [
        "events/sched/enable",
        "events/raw_syscalls/enable",
        "events/timer/enable",
    ];
    while turn.next()? {
        let on = ["0", "1"][turn.draw.below(2)];
        if turn.draw.once_in(2) {
            turn.say("flip a static key")?;
            fs::write(SCHEDSTATS, on).context(SCHEDSTATS)?;
        } else {
            let event = *turn.draw.pick(&events);
            turn.say(event)?;
            write(event, "1")?;
            turn.pause(20)?;
            write(event, "0")?;
        }
        turn.count(Count::Actions, 1);
        turn.pause(60)?;
    }
    fs::write(SCHEDSTATS, "0").context(SCHEDSTATS)
}

pub fn missing() -> Option<String> {
    (!fs::exists(SCHEDSTATS).unwrap_or(false)).then(|| format!("no {SCHEDSTATS}"))
}
