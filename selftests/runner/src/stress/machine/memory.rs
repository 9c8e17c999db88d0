// SPDX-License-Identifier: GPL-2.0

//! Takes most of the memory for a moment, and has caches dropped.

use std::fs;

use anyhow::{Context, Result};

use crate::stress::board::Count;
use crate::stress::turn::Turn;

/// What is left to the others, in bytes: not so little that somebody is killed.
const LEFT: usize = 160 << 20;

fn available() -> Result<usize> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kb.context("no MemAvailable")?.parse::<usize>()? << 10)
}

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    while turn.next()? {
        turn.pause(1000)?;
        if turn.draw.once_in(3) {
            turn.say("drop caches")?;
            fs::write("/proc/sys/vm/drop_caches", "3")?;
        } else {
            turn.say("take memory")?;
            let mut taken = Vec::new();
            while available()? > LEFT && !turn.is_over()? {
                // Of zeroes alone no page would come.
                taken.push(vec![1u8; 8 << 20]);
                turn.say("take memory")?;
            }
            turn.pause(200)?;
        }
        turn.count(Count::Actions, 1);
    }
    Ok(())
}
