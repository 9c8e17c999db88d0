// SPDX-License-Identifier: GPL-2.0

//! Programs that were detached come back.

use anyhow::Result;

use super::detach::{expect_hits, session};
use crate::harness::Env;

tests! {
    reattach: "programs come back, alone and together",
    reattach_elsewhere: "a removed program goes to another descriptor",
    reattach_loop: "attach and detach, forty times",
}

fn reattach(env: &Env) -> Result<()> {
    let log = env.log()?;
    let (first, second) = (session(&log)?, session(&log)?);
    let tramp = env.trampoline()?;
    for round in 1..=3 {
        tramp.add(&first)?;
        tramp.add(&second)?;
        first.test_run()?;
        tramp.remove(&first)?;
        second.test_run()?;
        tramp.remove(&second)?;
        first.test_run()?;
        expect_hits(&first, round, "of the first session")?;
        expect_hits(&second, 2 * round, "of the second session")?;
    }
    Ok(())
}

fn reattach_elsewhere(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = session(&log)?;
    let old = env.trampoline()?;
    old.add(&session)?;
    old.remove(&session)?;
    let new = env.trampoline()?;
    new.add(&session)?;
    session.test_run()?;
    expect_hits(&session, 1, "on the second descriptor")?;
    drop(old);
    session.test_run()?;
    expect_hits(&session, 2, "after the first descriptor was closed")
}

fn reattach_loop(env: &Env) -> Result<()> {
    const ROUNDS: u64 = 40;
    let log = env.log()?;
    let session = session(&log)?;
    for round in 1..=ROUNDS {
        let tramp = env.trampoline()?;
        tramp.add(&session)?;
        session.test_run()?;
        // By turns the one way and the other.
        if round % 2 == 0 {
            tramp.remove(&session)?;
        }
    }
    session.test_run()?;
    expect_hits(&session, ROUNDS, "in as many rounds")
}
