// SPDX-License-Identifier: GPL-2.0

//! Makes every allocation and registration of the module fail, one after the other.

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};
use clap::{Parser, ValueEnum};
use runner::harness::Env;
use runner::kallsyms;
use runner::tests::wait_for;
use runner::walk::{ops::World, registrations, Nth};

/// What kselftest takes for skipped.
const SKIPPED: u8 = 4;
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// Fails at every point of every operation, one after the other, and looks at what
/// is left
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    /// What is walked [default: everything]
    #[arg(value_enum)]
    walks: Vec<Walks>,

    #[command(flatten)]
    env: Env,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Walks {
    /// Registrations, by a kprobe
    Registrations,
    /// Open, ADD, REMOVE, INFO, COMPARE, read, close
    Device,
    /// Init and exit of the module
    Module,
    /// Setting the mode, and what goes through the hooks
    Hooks,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let world = World::new(&args.env)?;
    let leaks = fs::write(KMEMLEAK, "clear").is_ok();
    let wanted = |walks| args.walks.is_empty() || args.walks.contains(&walks);
    let mut reports = Vec::new();
    if wanted(Walks::Registrations) {
        reports.extend(registrations::walks(&args.env, &world)?);
    }
    let nth = Nth::open()?;
    let skipped = nth.is_none();
    match nth {
        Some(nth) => {
            if wanted(Walks::Device) {
                reports.extend(world.device_walks(&nth)?);
            }
            if wanted(Walks::Hooks) {
                reports.extend(world.hook_walks(&nth)?);
            }
            if wanted(Walks::Module) {
                reports.extend(world.module_walks(&nth)?);
            }
        }
        None => println!("allocations: skipped, this kernel injects no faults (CONFIG_FAILSLAB)"),
    }
    drop(world);
    wait_for(
        "all images are freed",
        || Ok(kallsyms::images()?.is_empty()),
    )?;
    match leaks {
        true => check_leaks()?,
        false => println!("leaks: not looked for, this kernel has no kmemleak"),
    }
    let points: u32 = reports.iter().map(|report| report.points).sum();
    let wrong: usize = reports.iter().map(|report| report.wrong.len()).sum();
    println!("{points} points walked, {} right", points as usize - wrong);
    Ok(match (wrong, skipped) {
        (0, false) => ExitCode::SUCCESS,
        (0, true) => SKIPPED.into(),
        _ => ExitCode::FAILURE,
    })
}

/// What kmemleak finds, twice: what is on its way may look like a leak once.
fn check_leaks() -> Result<()> {
    for _ in 0..2 {
        thread::sleep(Duration::from_secs(6));
        fs::write(KMEMLEAK, "scan")?;
    }
    let text = fs::read_to_string(KMEMLEAK)?;
    let ours = text
        .split("unreferenced object")
        .filter(|one| one.contains("rust_fsession"));
    let ours: Vec<_> = ours.collect();
    ensure!(
        ours.is_empty(),
        "{} leaks:\n{}",
        ours.len(),
        ours.join("\n")
    );
    println!("kmemleak: nothing of the module's");
    Ok(())
}
