// SPDX-License-Identifier: GPL-2.0

//! Takes CPUs away from whoever runs there, for longer than an image lives once nobody
//! needs it: tasks are stopped at any instruction, also the first and the last ones of an
//! image.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use rustix::thread::{sched_setaffinity, CpuSet};

use crate::stress::board::Count;
use crate::stress::turn::Turn;

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    // SAFETY: All bytes zero are a `sched_param`.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = 10;
    // SAFETY: The structure outlives the call, which is for this task.
    let ret = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) };
    ensure!(
        ret == 0,
        "no real-time priority: {}",
        io::Error::last_os_error()
    );
    while turn.next()? {
        let mut cpus = CpuSet::new();
        cpus.set(turn.draw.below(turn.stage.cpus));
        // (It may be away.)
        let _ = sched_setaffinity(None, &cpus);
        let time = turn.draw.time(Duration::from_millis(250));
        turn.say(format!("keep a CPU for {time:?}"))?;
        let begin = Instant::now();
        while begin.elapsed() < time {
            std::hint::spin_loop();
        }
        turn.count(Count::Actions, 1);
        turn.pause(250)?;
    }
    Ok(())
}
