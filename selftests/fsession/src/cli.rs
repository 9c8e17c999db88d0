// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cmd;

/// Lists, draws, compares and traces BPF trampolines
///
/// What only looks works on any running x86-64 kernel with BPF. Modes, comparisons and tracing
/// without BPF links take the module rust_fsession.
#[derive(Parser)]
#[command(version, max_term_width = 80)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    List(cmd::list::Args),
    Show(cmd::show::Args),
    Diff(cmd::diff::Args),
    Dump(cmd::dump::Args),
    Trace(cmd::trace::Args),
    Top(cmd::top::Args),
    Mode(cmd::mode::Args),
    Stats(cmd::stats::Args),
    Compare(cmd::compare::Args),
    Report(cmd::report::Args),
    Attach(cmd::attach::Args),
    Demo(cmd::demo::Args),
    Completions(cmd::completions::Args),
    Man(cmd::man::Args),
}

impl Command {
    /// The exit status: 0 as asked, 1 for an answer that is "no" (`diff`, `compare`), 2 for an error.
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::List(args) => args.run(),
            Self::Show(args) => args.run(),
            Self::Diff(args) => args.run(),
            Self::Dump(args) => args.run(),
            Self::Trace(args) => args.run(),
            Self::Top(args) => args.run(),
            Self::Mode(args) => args.run(),
            Self::Stats(args) => args.run(),
            Self::Compare(args) => args.run(),
            Self::Report(args) => args.run(),
            Self::Attach(args) => args.run(),
            Self::Demo(args) => args.run(),
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_80_columns() {
        let mut command = Cli::command();
        command.build();
        for subcommand in command.get_subcommands_mut() {
            let name = subcommand.get_name().to_owned();
            // (In a pipe, clap takes 100 columns for the terminal.)
            let help = subcommand
                .clone()
                .term_width(80)
                .render_long_help()
                .to_string();
            let widest = help.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(80), "{name}:\n{help}");
        }
    }
}
