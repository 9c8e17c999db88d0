// SPDX-License-Identifier: GPL-2.0

//! `fsession`: eyes for BPF trampolines, with and without the module.

mod cli;
mod cmd;
mod failure;
mod kernel;
mod look;
mod module;
mod pattern;
mod screen;
mod top;
mod trace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let result = cli::Cli::parse().command.run();
    match result {
        Ok(status) => status,
        Err(err) => failure::report(&err),
    }
}
