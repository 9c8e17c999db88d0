// SPDX-License-Identifier: GPL-2.0

//! `fsession man`: the manual, of what `--help` says.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::Cli;

const EXAMPLES: &str = "\
Examples:
  fsession man | man -l -          read it
  fsession man /usr/share/man/man1
                                   a page for each subcommand";

/// Prints the manual page, or writes those of all subcommands
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where fsession.1, fsession-list.1 and so on go
    dir: Option<PathBuf>,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            std::io::stdout().lock().write_all(&page)?;
            return Ok(ExitCode::SUCCESS);
        };
        fs::create_dir_all(&dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &dir))
            .with_context(|| format!("cannot write to {}", dir.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
