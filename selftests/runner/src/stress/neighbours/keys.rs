// SPDX-License-Identifier: GPL-2.0

//! Static keys and tracepoints are flipped: text is poked all the time.

use std::fs;

use anyhow::{Context, Result};

use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::tracing::write;

/// Which accounts are kept is a static key each; the first one is in the calls that an
/// image makes around a program.
const ACCOUNTS: [&str; 2] = [
    "/proc/sys/kernel/bpf_stats_enabled",
    "/proc/sys/kernel/sched_schedstats",
];

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let events = [
        "events/sched/enable",
        "events/raw_syscalls/enable",
        "events/timer/enable",
    ];
    let accounts = accounts();
    while turn.next()? {
        let on = ["0", "1"][turn.draw.below(2)];
        if turn.draw.once_in(2) {
            let account = *turn.draw.pick(&accounts);
            turn.say(account)?;
            fs::write(account, on).context(account)?;
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
    for account in accounts {
        fs::write(account, "0").context(account)?;
    }
    Ok(())
}

fn accounts() -> Vec<&'static str> {
    let mut here = ACCOUNTS.to_vec();
    here.retain(|account| fs::exists(account).unwrap_or(false));
    here
}

pub fn missing() -> Option<String> {
    accounts()
        .is_empty()
        .then(|| format!("no {}", ACCOUNTS.join(", no ")))
}
