// SPDX-License-Identifier: GPL-2.0

//! Everything at once on this kernel, for a while.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use runner::harness::installed;
use runner::stress::{self, Order, CAST};

/// Users of the module, its neighbours and the machine, drawn from a seed, all at once;
/// then nothing may be left of it.
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    /// How long it goes on; starting and counting take some more
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,

    /// What all choices grow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// What `make` takes to have this kernel again, for the command that repeats a failure
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    kernel: Vec<String>,

    /// These actors only
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    actors: Vec<String>,

    /// Names the actors and what each does
    #[arg(long)]
    list: bool,

    /// After how many seconds without a step an actor hangs
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    patience: u64,

    /// Where the BPF objects are
    #[arg(long, value_name = "DIR", default_value_os_t = installed("obj"))]
    bpf: PathBuf,

    /// The module, others lie beside it
    #[arg(long, value_name = "FILE", default_value_os_t = installed("modules/rust_fsession.ko"))]
    module: PathBuf,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.list {
        for actor in CAST {
            println!("{:12} {}", actor.name, actor.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let good = stress::run(&Order {
        seconds: args.seconds,
        seed: args.seed,
        kernel: args.kernel,
        actors: args.actors,
        patience: args.patience,
        bpf: args.bpf,
        module: args.module,
    })?;
    Ok(u8::from(!good).into())
}
