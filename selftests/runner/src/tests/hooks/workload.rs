// SPDX-License-Identifier: GPL-2.0

//! Hundreds of programs of all kinds, on images of either builder.

use std::time::Instant;

use anyhow::{ensure, Result};

use crate::harness::Env;
use crate::hooks::{Mode, Stats};
use crate::workload;

tests! {
    hooks_workload_shadow: "500 programs and more: C and Rust build the same",
    hooks_workload_takeover: "500 programs and more run on Rust images",
    hooks_workload_drawn: "the same on functions that a drawn seed chooses",
}

/// Chooses the functions where nothing is drawn.
const SEED: u64 = 1;

/// Runs the workload in this mode and tells what the hooks counted meanwhile.
fn run_in(env: &Env, mode: Mode, seed: u64) -> Result<(workload::Report, Stats)> {
    let _hooked = env.hook(mode)?;
    let (before, start) = (Stats::read()?, Instant::now());
    let report = workload::run(env, seed)?;
    let counted = before.since()?;
    println!(
        "{} programs, {} functions not traceable, {:.1} s",
        report.programs,
        report.refused,
        start.elapsed().as_secs_f64()
    );
    println!("{counted}");
    counted.check_clean()?;
    check_eq!(counted.get("refused")?, 0, "images that do not fit");
    Ok((report, counted))
}

fn hooks_workload_shadow(env: &Env) -> Result<()> {
    let (report, counted) = run_in(env, Mode::Shadow, SEED)?;
    let compared = counted.get("compared")?;
    ensure!(
        compared >= report.images,
        "{compared} of {} images compared",
        report.images
    );
    check_eq!(counted.get("identical")?, compared, "identical images");
    ensure!(counted.get("kfunc_compared")? > 0, "no kfunc was compared");
    check_eq!(counted.get("built")?, 0, "images of Rust in use");
    check_eq!(counted.get("kfunc_inlined")?, 0, "kfuncs inlined by Rust");
    Ok(())
}

fn hooks_workload_takeover(env: &Env) -> Result<()> {
    by_rust(env, SEED)
}

fn hooks_workload_drawn(env: &Env) -> Result<()> {
    by_rust(env, env.seed)
}

fn by_rust(env: &Env, seed: u64) -> Result<()> {
    let (report, counted) = run_in(env, Mode::Takeover, seed)?;
    let built = counted.get("built")?;
    ensure!(
        built >= report.images,
        "{built} of {} images built by Rust",
        report.images
    );
    ensure!(
        counted.get("kfunc_inlined")? > 0,
        "Rust did not inline any kfunc"
    );
    check_eq!(counted.get("compared")?, 0, "images compared");
    Ok(())
}
