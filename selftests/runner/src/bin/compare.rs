// SPDX-License-Identifier: GPL-2.0

//! Holds the Rust builder against the C builder of the running kernel.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use clap::Parser;
use runner::compare::{Builders, Cases, Difference, Need, Spec, Verdict};
use runner::harness::{self, installed};
use runner::image;

/// What kselftest takes for skipped.
const SKIPPED: u8 = 4;

/// What every other random case grows from.
const FIXED_SEED: u64 = 1;

/// Has both builders build image after image and compares them.
///
/// The first cases are a grid of all structural choices, the others are random, half of them
/// always the same.
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    /// How many cases [default: the grid and as many random ones]
    #[arg(long, value_name = "N")]
    cases: Option<u64>,

    /// Compares the whole grid before that many cases
    #[arg(long)]
    whole_grid: bool,

    /// What all random cases grow from [default: 1 for every other one, drawn for the rest]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// This case only, shown whole
    #[arg(long, value_name = "NUMBER")]
    case: Option<u64>,

    /// What the machine has to have: cpu:FLAG or VULNERABILITY:MITIGATION
    #[arg(long, value_name = "WHAT")]
    need: Option<Need>,

    /// How many differences are shown
    #[arg(long, value_name = "N", default_value_t = 3)]
    show: u64,

    /// Where the BPF objects are
    #[arg(long, value_name = "DIR", default_value_os_t = installed("obj"))]
    bpf_dir: PathBuf,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(missing) = args.need.as_ref().and_then(Need::missing) {
        println!("not run: {missing}");
        return Ok(SKIPPED.into());
    }
    let builders = Builders::open(&args.bpf_dir)?;
    let different = match args.case {
        Some(number) => {
            let seed = args.seed.unwrap_or(FIXED_SEED);
            one(&builders, Cases { seed }, number)?
        }
        None => many(&builders, &args)?,
    };
    Ok(u8::from(different).into())
}

/// Shows one case. Says whether it differs.
fn one(builders: &Builders, cases: Cases, number: u64) -> Result<bool> {
    let spec = cases.get(number);
    let verdict = builders.compare(&spec)?;
    match &verdict {
        Verdict::Different(difference) => show(number, cases, &spec, difference),
        Verdict::Identical => println!("{spec}identical"),
        Verdict::NotRun(why) => println!("{spec}not run: {why}"),
    }
    Ok(matches!(verdict, Verdict::Different(_)))
}

/// Says whether any case differs.
fn many(builders: &Builders, args: &Args) -> Result<bool> {
    let seed = args.seed.unwrap_or_else(harness::seed);
    let fixed = args.seed.unwrap_or(FIXED_SEED);
    let grid = Cases::grid();
    let count = match (args.cases, args.whole_grid) {
        (None, _) => grid * 2,
        (Some(cases), true) => grid + cases,
        (Some(cases), false) => cases.max(1),
    };
    println!(
        "grid of {grid} cases, {} of them and {} random ones to compare, seeds {fixed} and {seed}",
        Cases::of_grid(count),
        count - Cases::of_grid(count)
    );
    let begin = Instant::now();
    let (mut identical, mut different) = (0, 0);
    let mut not_run: BTreeMap<&str, u64> = BTreeMap::new();
    // Some cases of a kernel, but not most of them, cannot be compared.
    let drawn = Cases { seed };
    for number in drawn.numbers(count).take(count as usize * 16) {
        let seed = if number % 2 == 0 { fixed } else { seed };
        let cases = Cases { seed };
        let spec = cases.get(number);
        let verdict = builders
            .compare(&spec)
            .with_context(|| format!("case {number}, seed {seed}:\n{spec}"))?;
        match verdict {
            Verdict::Identical => identical += 1,
            Verdict::Different(difference) => {
                if different < args.show {
                    show(number, cases, &spec, &difference);
                }
                different += 1;
            }
            Verdict::NotRun(why) => {
                *not_run.entry(why).or_default() += 1;
                continue;
            }
        }
        let done = identical + different;
        if done * 10 / count != (done - 1) * 10 / count {
            let seconds = begin.elapsed().as_secs();
            println!("  {:3} %  {seconds:4} s", done * 100 / count);
        }
        if done == count {
            break;
        }
    }
    for (why, cases) in &not_run {
        println!("not run {cases}: {why}");
    }
    let compared = identical + different;
    println!("compared {compared}, identical {identical}, different {different}");
    ensure!(
        compared == count,
        "only {compared} of {count} cases could be compared"
    );
    Ok(different != 0)
}

fn show(number: u64, cases: Cases, spec: &Spec, difference: &Difference) {
    println!("\ncase {number} differs, at byte {}:", difference.at);
    print!("{spec}");
    for (name, side) in [("Rust", &difference.rust), ("C", &difference.c)] {
        println!("{name} measures {}, builds {}:", side.measured, side.built);
        let at = usize::try_from(difference.at).unwrap_or(0);
        for line in image::around(&side.code, at, 4) {
            println!("  {line}");
        }
    }
    println!("again: make compare CASE={number} SEED={}\n", cases.seed);
}
