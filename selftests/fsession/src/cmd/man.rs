// SPDX-License-Identifier: GPL-2.0

//! `fsession man`: the manual, of what `--help` says.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;

const EXAMPLES: &str = "\
Examples:
  fsession man | man -l -           read it
  fsession man /usr/share/man/man1  a page for each subcommand as well";

/// Prints the manual page, or writes those of all subcommands
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where fsession.1, fsession-list.1 and so on go
    dir: Option<PathBuf>,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let pages = pages(Cli::command())?;
        match self.dir {
            None => {
                let main = pages.first().map_or("", |(_, text)| text);
                io::stdout().lock().write_all(main.as_bytes())?;
            }
            Some(dir) => fs::create_dir_all(&dir)
                .and_then(|()| {
                    pages
                        .iter()
                        .try_for_each(|(name, text)| fs::write(dir.join(name), text))
                })
                .with_context(|| format!("cannot write to {}", dir.display()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Files and what is in them: first that of the command, then those of its subcommands.
fn pages(command: Command) -> io::Result<Vec<(String, String)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let subcommands = command.get_subcommands().cloned().collect::<Vec<_>>();
    let commands = std::iter::once(command).chain(subcommands);
    commands
        .map(|command| {
            let man = Man::new(command);
            let mut text = Vec::new();
            man.render(&mut text)?;
            let text = String::from_utf8_lossy(&text);
            Ok((man.get_filename(), with_examples(&text)))
        })
        .collect()
}

/// What `--help` has below its options is laid out already.
fn with_examples(page: &str) -> String {
    let Some((before, extra)) = page.split_once(".SH EXTRA\n") else {
        return page.into();
    };
    let extra = extra.strip_prefix("Examples:\n").unwrap_or(extra);
    let end = extra.find("\n.SH ").map_or(extra.len(), |at| at + 1);
    let (examples, after) = extra.split_at(end);
    format!("{before}.SH EXAMPLES\n.nf\n{examples}.fi\n{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_subcommand() {
        let pages = pages(Cli::command()).unwrap();
        let text = |name: &str| {
            let page = pages.iter().find(|(file, _)| file == name);
            page.map(|(_, text)| text.as_str())
        };
        assert_eq!(pages[0].0, "fsession.1");
        assert_eq!(pages.len(), 1 + Cli::command().get_subcommands().count());
        let mode = text("fsession-mode.1").unwrap();
        let examples = ".SH EXAMPLES\n.nf\n  fsession mode             the mode now\n";
        assert!(mode.contains(examples), "{mode}");
        assert!(mode.contains("stay as they are.\n.fi\n"), "{mode}");
    }

    #[test]
    fn what_follows_the_examples_is_filled_again() {
        let page = ".SH NAME\nx\n.SH EXTRA\nExamples:\n  x\n.SH VERSION\nv1\n";
        assert_eq!(
            with_examples(page),
            ".SH NAME\nx\n.SH EXAMPLES\n.nf\n  x\n.fi\n.SH VERSION\nv1\n"
        );
    }
}
