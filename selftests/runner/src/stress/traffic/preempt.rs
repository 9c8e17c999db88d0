// SPDX-License-Identifier: GPL-2.0

//! Takes CPUs away from whoever runs there, for longer than an image lives once nobody
//! needs it: tasks are stopped at any instruction, and with a breakpoint at the first one
//! of an image, where nothing but its grace periods keeps it.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::realtime;
use crate::kallsyms::{self, Symbol};
use crate::perf::Breakpoint;
use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::tests::cookie::stay_on;

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    realtime::first(10)?;
    let mut images = Vec::new();
    while turn.next()? {
        let cpu = turn.draw.below(turn.stage.cpus);
        // (It may be away.)
        stay_on(cpu);
        if turn.draw.once_in(4) {
            keep(turn)?;
        } else if turn.draw.once_in(3) || images.is_empty() {
            turn.say("look for images")?;
            images = kallsyms::images()?;
        } else {
            let image = turn.draw.pick(&images).clone();
            at(turn, &image, cpu)?;
        }
        turn.pause(300)?;
    }
    Ok(())
}

/// Stops who enters the image on this CPU, some times.
fn at(turn: &mut Turn<'_>, image: &Symbol, cpu: usize) -> Result<()> {
    turn.say(format!("stop at {}", image.name))?;
    let Ok(breakpoint) = Breakpoint::on_cpu(image.addr, cpu) else {
        turn.count(Count::Refused, 1);
        return Ok(());
    };
    for _ in 0..4 {
        if !breakpoint.wait(Duration::from_millis(200))? {
            break;
        }
        keep(turn)?;
        breakpoint.forget();
    }
    Ok(())
}

/// Keeps the CPU for a while.
fn keep(turn: &mut Turn<'_>) -> Result<()> {
    let time = turn.draw.time(Duration::from_millis(150));
    turn.say(format!("keep a CPU for {time:?}"))?;
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
    turn.count(Count::Actions, 1);
    Ok(())
}
