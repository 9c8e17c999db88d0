// SPDX-License-Identifier: GPL-2.0

//! `fsession top`: live, what programs behind trampolines take.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};
use clap::ValueEnum;

use crate::cmd::stats::interval;
use crate::top::draw::summary;
use crate::top::live;
use crate::top::rates::Rates;
use crate::top::sample::Sampler;
use crate::top::state::{Sort, State};
use crate::top::table::{Column, Table};
use crate::{look, screen};

const EXAMPLES: &str = "\
Examples:
  fsession top                      live; ? tells the keys
  fsession top --sort calls --filter vfs_
  fsession top --once               a table, of one second
  fsession top --batch 6 --interval 10 --json
                                    a minute of it, a JSON object a line

It takes no module, and CAP_SYS_ADMIN. The kernel's statistics of BPF programs
are on while this runs, which costs each call some nanoseconds. They have calls
and time; instructions are not counted.";

/// Shows live what programs behind trampolines take
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Prints a table once, of one interval
    #[arg(long, conflicts_with = "batch")]
    once: bool,

    /// Prints a table so many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch: Option<u64>,

    /// As JSON, one object a line
    #[arg(long)]
    json: bool,

    /// From table to table
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,

    /// What comes first
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t = By::Cpu)]
    sort: By,

    /// The other way round
    #[arg(long)]
    reverse: bool,

    /// Only those with this in target, program or kind
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    filter: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Target,
    Program,
    Kind,
    Calls,
    Ns,
    Cpu,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let sort = Sort {
            by: match self.sort {
                By::Target => Column::Target,
                By::Program => Column::Program,
                By::Kind => Column::Kind,
                By::Calls => Column::Calls,
                By::Ns => Column::Nanoseconds,
                By::Cpu => Column::Cpu,
            },
            reversed: self.reverse,
        };
        let times = match self.batch {
            None if self.once || self.json => 1,
            None => {
                ensure!(
                    io::stdout().is_terminal() && io::stdin().is_terminal(),
                    "there is no terminal to draw on: --once or --batch N prints tables"
                );
                let state = State {
                    sort,
                    filter: self.filter,
                    ..State::default()
                };
                live::run(state, Sampler::start()?, self.interval)?;
                return Ok(ExitCode::SUCCESS);
            }
            Some(times) => times,
        };
        self.batch(sort, times)
    }

    fn batch(&self, sort: Sort, times: u64) -> Result<ExitCode> {
        let mut sampler = Sampler::start()?;
        let mut last = sampler.take()?;
        for nr in 0..times {
            thread::sleep(self.interval);
            let now = sampler.take()?;
            let rates = Rates::between(&last, &now);
            last = now;
            let mut out = anstream::stdout().lock();
            if self.json {
                let programs = sort.rows(&rates, &self.filter);
                let programs = programs.into_iter().cloned().collect();
                let shown = Rates { programs, ..rates };
                writeln!(out, "{}", serde_json::to_string(&shown)?)?;
            } else {
                if nr > 0 {
                    writeln!(out)?;
                }
                for line in text(&rates, sort, &self.filter, screen::width()) {
                    writeln!(out, "{line}")?;
                }
            }
            out.flush()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A table with a line above it.
fn text(rates: &Rates, sort: Sort, filter: &str, width: usize) -> Vec<String> {
    let mut lines = vec![summary(rates)];
    let rows = sort.rows(rates, filter);
    if !rows.is_empty() {
        let table = Table::new(width);
        let mark = if sort.reversed { '^' } else { 'v' };
        lines.push(look::dim(table.head(sort.by, mark)));
        lines.extend(rows.iter().map(|row| table.row(row)));
    } else if !rates.programs.is_empty() {
        lines.push("no such program".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::rates::Row;

    #[test]
    fn a_filter_that_nothing_fits_is_told() {
        let row = Row {
            target: "vfs_read".into(),
            program: "on_read".into(),
            kind: "fentry".into(),
            ..Row::default()
        };
        let rates = Rates {
            seconds: 1.0,
            programs: vec![row],
        };
        let text = |filter| text(&rates, Sort::default(), filter, 40);
        assert_eq!(text("on_").len(), 3);
        assert_eq!(
            text("x"),
            ["1 program  1.0 s  0.00 % CPU", "no such program"]
        );
    }
}
