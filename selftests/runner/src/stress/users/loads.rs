// SPDX-License-Identifier: GPL-2.0

//! Loads programs of sessions, whose kfuncs become instructions on the way. Whoever
//! does that, they are the same.

use std::os::fd::AsFd;

use anyhow::{ensure, Context, Result};

use crate::bpf;
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::turn::Turn;

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let id = turn.stage.programs.function("bpf_fentry_test2")?.id;
    let mut first: Vec<Option<Vec<[u8; 8]>>> = vec![None; 2];
    while turn.next()? {
        turn.say("load a session")?;
        let nr = turn.draw.below(2);
        let what = [What::Session, What::WithCookie][nr];
        let prog = match turn.stage.programs.load_for(what, false, id) {
            Err(err) if turn.stage.may_fail(&err) => continue,
            prog => prog.context("cannot load a session")?,
        };
        turn.count(Count::Loaded, 1);
        let insns = bpf::xlated(prog.as_fd())?;
        let first = first[nr].get_or_insert_with(|| insns.clone());
        ensure!(
            same(first, &insns),
            "the same {what:?} becomes other instructions: {insns:x?} instead of {first:x?}"
        );
        turn.pause(300)?;
    }
    Ok(())
}

/// Apart from the addresses of maps and helpers.
fn same(one: &[[u8; 8]], other: &[[u8; 8]]) -> bool {
    let both = one.iter().zip(other);
    one.len() == other.len() && both.into_iter().all(|(one, other)| one[..4] == other[..4])
}
