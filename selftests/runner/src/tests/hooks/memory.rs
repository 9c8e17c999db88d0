// SPDX-License-Identifier: GPL-2.0

//! The C builder finds no memory.

use anyhow::{ensure, Result};

use super::super::compare::no_memory;
use super::expect_works;
use crate::faults::Faults;
use crate::harness::Env;
use crate::hooks::{Mode, Stats};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;

tests! {
    hooks_memory: "C without memory is an error, no difference"
        warns ["an image could not be compared: ENOMEM"],
}

fn hooks_memory(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Shadow)?;
    let faults = Faults::load(env)?;
    let functions = Functions::load()?;
    let target = functions.named("bpf_fentry_test1")?;
    let mut bulk = Bulk::load(&env.bpf)?;
    let before = Stats::read()?;
    faults.inject(no_memory(1))?;
    let result = bulk.attach(What::Session, false, target)?;
    check_errno!(result, ENOMEM, "attaching while C has no memory");
    check_eq!(faults.left()?, 0, "allocations to fail");
    faults.stop()?;
    let counted = before.since()?;
    println!("{counted}");
    check_eq!(counted.get("different")?, 0, "differences");
    check_eq!(counted.get("errors")?, 1, "errors");
    ensure!(
        counted.get("compared")? == counted.get("identical")?,
        "what was compared was not identical: {counted}"
    );
    expect_works(env, &hooked, Mode::Shadow)
}
