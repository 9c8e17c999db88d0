// SPDX-License-Identifier: GPL-2.0

//! Programs of every kind that has a trampoline, by the hundred, attached the
//! ordinary way.

pub mod bulk;
pub mod functions;
pub mod multi;
pub mod nested;
pub mod ops;

mod kinds;

use anyhow::{ensure, Result};
use rand::rngs::StdRng;
use rand::SeedableRng;

use crate::harness::Env;
use crate::skips;
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
    /// Programs that were left out.
    lacking: u64,
}

/// Programs that a workload attaches at least where the kernel has it all.
const ENOUGH: u64 = 500;

impl Report {
    /// Programs that stay attached for a while, then go one by one.
    fn attached(&mut self, programs: u64) {
        self.programs += programs;
        self.images += programs;
    }

    /// Leaves out so many programs, if the list of expected skips lets it.
    fn leave_out(&mut self, programs: usize, why: impl AsRef<str>) -> Result<()> {
        let why = why.as_ref();
        println!("{why}");
        ensure!(
            skips::is_expected("workload", "workload", why),
            "not in selftests/expected_skips: {why}"
        );
        self.lacking += programs as u64;
        Ok(())
    }
}

/// Loads, attaches, runs and detaches programs, and checks what they saw. `seed`
/// chooses the functions.
pub fn run(env: &Env, seed: u64) -> Result<Report> {
    println!("seed {seed}");
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut report = Report::default();
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    kinds::test_functions(&mut bulk, &functions, &mut report)?;
    kinds::by_arguments(&mut bulk, &functions, rng, &mut report)?;
    kinds::system_calls(&mut bulk, &functions, rng, &mut report)?;
    kinds::security(&mut bulk, &functions, rng, &mut report)?;
    multi::run(&mut bulk, &functions, &mut report)?;
    bulk.check()?;
    nested::run(env, &mut report)?;
    ops::run(env, &mut report)?;
    ensure!(
        report.programs + report.lacking >= ENOUGH,
        "{} programs and {} left out are not {ENOUGH}",
        report.programs,
        report.lacking
    );
    Ok(report)
}
