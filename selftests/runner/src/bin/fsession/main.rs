// SPDX-License-Identifier: GPL-2.0

//! The command for people: attaches BPF programs through Rust-built images.

mod attach;
mod demo;
mod list;
mod show;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use runner::device::{self, Device};

/// Attaches BPF programs through trampoline images that were built in Rust
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows sessions with cookies on functions that it then calls itself
    Demo(demo::Args),
    /// Attaches the programs of an object file until it is interrupted
    Attach(attach::Args),
    /// Lists what all processes have attached
    List(list::Args),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Attach(args) => attach::run(&args),
        Command::List(args) => list::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            anstream::eprintln!("{}: {err:#}", show::bad("error"));
            ExitCode::FAILURE
        }
    }
}

/// Opens the device, or says what to do about it.
fn open() -> Result<Device> {
    Device::open().map_err(|err| {
        let advice = match err.raw_os_error() {
            Some(libc::ENOENT) => "load the module first: insmod rust_fsession.ko",
            Some(libc::EACCES | libc::EPERM) => "this needs root, or CAP_BPF and CAP_PERFMON",
            _ => "see the kernel log",
        };
        anyhow::Error::from(err).context(format!("cannot open {}: {advice}", device::PATH))
    })
}

/// What an error of an attachment means, where the number alone does not say.
fn explain(result: std::io::Result<()>, what: &str) -> Result<()> {
    let Err(err) = result else {
        return Ok(());
    };
    let reason = match err.raw_os_error() {
        Some(libc::EINVAL) => "not a program with a trampoline, or of another target",
        Some(libc::EBUSY) => "attached already, or the function is traced by a direct call",
        Some(libc::E2BIG) => "too many programs or session cookies on the function",
        Some(libc::EOPNOTSUPP) => "the builder does not cover this function or program",
        _ => "see the kernel log",
    };
    Err(err).with_context(|| format!("cannot attach {what}: {reason}"))
}
