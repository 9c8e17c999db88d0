// SPDX-License-Identifier: GPL-2.0

//! Calls of the traced functions, as fast as they go.

use std::os::fd::AsFd;

use anyhow::Result;
use rustix::event::{eventfd, EventfdFlags};
use rustix::pipe::pipe;
use rustix::process::{getpgid, getsid};

use crate::bpf;
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::turn::Turn;
use crate::tests::cookie::stay_on;

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    const BATCH: usize = 200;
    // (Its CPU may be away; then it runs anywhere.)
    stay_on(turn.instance % turn.stage.cpus);
    let event = eventfd(0, EventfdFlags::CLOEXEC)?;
    let (reader, writer) = pipe()?;
    let id = turn.stage.programs.function("bpf_fentry_test1")?.id;
    let caller = turn.stage.programs.load_for(What::Fentry, false, id)?;
    let mut word = [0; 8];
    while turn.next()? {
        turn.say("calls")?;
        for _ in 0..BATCH {
            match turn.draw.below(6) {
                0..=1 => drop(getpgid(None)?),
                2 => drop(getsid(None)?),
                3 => {
                    rustix::io::write(&event, &1u64.to_ne_bytes())?;
                    rustix::io::read(&event, &mut word)?;
                }
                4 => {
                    rustix::io::write(&writer, &word)?;
                    rustix::io::read(&reader, &mut word)?;
                }
                _ => drop(bpf::test_run(caller.as_fd())?),
            }
            // As in a step.
            std::hint::spin_loop();
        }
        turn.count(Count::Actions, BATCH as u64);
        turn.pause(20)?;
    }
    Ok(())
}
