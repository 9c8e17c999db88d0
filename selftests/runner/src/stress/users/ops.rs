// SPDX-License-Identifier: GPL-2.0

//! struct_ops come and go: their images are built by whoever does that then, and stay.

use anyhow::Result;

use crate::attach::Via;
use crate::harness::Env;
use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::workload::{ops, Report};

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let env = Env {
        via: Via::Link,
        bpf: turn.stage.bpf.clone(),
        module: turn.stage.module.clone(),
        seed: 0,
        whole: false,
    };
    while turn.next()? {
        turn.say("a congestion control")?;
        let mut report = Report::default();
        ops::run(&env, &mut report)?;
        turn.count(Count::Attached, report.images);
        turn.count(Count::Detached, report.images);
        turn.pause(200)?;
    }
    Ok(())
}
