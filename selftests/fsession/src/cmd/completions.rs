// SPDX-License-Identifier: GPL-2.0

//! `fsession completions`: what makes a shell complete the command.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

const EXAMPLES: &str = "\
Examples:
  fsession completions bash > \\
      /etc/bash_completion.d/fsession
  fsession completions zsh > ~/.zfunc/_fsession
  fsession completions fish > \\
      ~/.config/fish/completions/fsession.fish";

/// Prints what makes a shell complete this command
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    shell: Shell,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        // (The generator panics where it cannot write.)
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "fsession", &mut text);
        std::io::stdout().lock().write_all(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
