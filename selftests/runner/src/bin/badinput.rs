// SPDX-License-Identifier: GPL-2.0

//! Makes random calls of the module's device and files and looks at each answer.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use runner::badinput::{self, Plan};
use runner::harness::Env;

/// Bad input of all kinds for /dev/rust_fsession and its files in debugfs
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    /// How many calls [default: 1000000, or as many as SECONDS allow]
    #[arg(long, value_name = "N")]
    calls: Option<u64>,

    /// For how long
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    #[command(flatten)]
    env: Env,

    /// Works for another process of this program, with this number
    #[arg(long, hide = true)]
    worker: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let seed = args.env.seed;
    if let Some(number) = args.worker {
        badinput::run_worker(seed, number)?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = Plan {
        seed,
        calls: match (args.calls, args.seconds) {
            (Some(calls), _) => calls,
            (None, Some(_)) => u64::MAX,
            (None, None) => 1_000_000,
        },
        time: Duration::from_secs(args.seconds.unwrap_or(24 * 3600)),
        threads: 3,
        process: true,
    };
    println!("seed {seed}, 3 threads and a process that is killed now and then");
    match badinput::run(&args.env, &plan) {
        Ok(report) => {
            print!("{}", report.answers);
            match report.reached {
                Some(count) => println!("reached {count} places of the module (KCOV)"),
                None => println!("reached: not known, kernel or module is built without KCOV"),
            }
            println!(
                "{} calls in {:.0} s, {} kills, only documented errnos",
                report.calls, report.seconds, report.kills
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(err) => {
            println!("{err:#}");
            println!("again: make badinput SEED={seed}");
            Ok(ExitCode::FAILURE)
        }
    }
}
