// SPDX-License-Identifier: GPL-2.0

//! Programs of every kind that has a trampoline, by the hundred, attached the
//! ordinary way.

pub mod bulk;
pub mod functions;
pub mod nested;
pub mod ops;

mod kinds;
mod multi;

use anyhow::{ensure, Result};

use crate::harness::Env;
use bulk::Bulk;
use functions::Functions;

/// What a workload has done.
#[derive(Debug, Default)]
pub struct Report {
    /// Programs that were loaded and attached.
    pub programs: u64,
    /// Changes of trampolines, each of which takes an image at least.
    pub images: u64,
    /// Functions that the kernel would not let be traced.
    pub refused: u64,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Programs that a workload attaches at least where the kernel has it all.
const ENOUGH: u64 = 500;

impl Report {
    /// Programs that stay attached for a while, then go one by one.
    fn attached(&mut self, programs: u64) {
        self.programs += programs;
        self.images += programs;
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// Loads, attaches, runs and detaches programs, and checks what they saw.
pub fn run(env: &Env) -> Result<Report> {
    let mut report = Report::default();
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    kinds::test_functions(&mut bulk, &functions, &mut report)?;
    kinds::by_arguments(&mut bulk, &functions, &mut report)?;
    kinds::system_calls(&mut bulk, &functions, &mut report)?;
    kinds::security(&mut bulk, &functions, &mut report)?;
    multi::run(&mut bulk, &functions, &mut report)?;
    bulk.check()?;
    nested::run(env, &mut report)?;
    ops::run(env, &mut report)?;
    ensure!(
        report.programs >= ENOUGH || !report.notes.is_empty(),
        "{} programs are not {ENOUGH}",
        report.programs
    );
    Ok(report)
}
