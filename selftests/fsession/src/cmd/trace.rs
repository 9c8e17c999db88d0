// SPDX-License-Identifier: GPL-2.0

//! `fsession trace`

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::kernel::btf::Btf;
use crate::trace::command::Command;
use crate::trace::lines::{Layout, Traced};
use crate::trace::output::Output;
use crate::trace::record::Config;
use crate::trace::run::{self, Until};
use crate::trace::select::select;
use crate::trace::session::{Session, Wanted};
use crate::trace::types::Signature;
use crate::trace::view::{Style, View};
use crate::trace::{hist, json};

/// Prints calls of functions: arguments, return value, duration
///
/// A BPF session is attached to each function. Without a command, the calls of all tasks are
/// printed until Ctrl-C, except those of fsession itself. With a command, those of the command
/// from its exec on, and of everything that it forks, until it ends.
///
/// A line is printed when a call returns. What an interrupt does counts to the task that it
/// interrupts.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG)]
pub struct Args {
    /// Functions: names or globs, of one module as MODULE:NAME
    #[arg(required = true, value_name = "FUNCTION")]
    functions: Vec<String>,

    /// Command to trace
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,

    /// Show calls inside of calls, indented
    #[arg(long, conflicts_with_all = ["hist", "json"])]
    tree: bool,

    /// Count durations instead, and draw them in the end
    #[arg(long)]
    hist: bool,

    /// Show the kernel's stack of each call
    #[arg(long, conflicts_with = "hist")]
    stacks: bool,

    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,

    /// Print the seconds since the start
    #[arg(long, conflicts_with_all = ["hist", "json"])]
    time: bool,

    /// Attach by BPF links, also where the module is loaded
    #[arg(long)]
    link: bool,

    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,

    /// End after so many calls
    #[arg(long, value_name = "NUMBER", conflicts_with = "hist",
          value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Functions at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    max: usize,

    /// Room for records, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(4..=1 << 20))]
    buffer: u32,

    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  fsession trace vfs_read vfs_write -- cat /proc/version
  fsession trace --tree 'ksys_*' 'vfs_*' -- ls /
  fsession trace --hist --duration 5 vfs_read
  fsession trace --json --count 1 vfs_open | jq .args";

const LONG: &str = "\
Examples:
  fsession trace vfs_read vfs_write -- cat /proc/version
  fsession trace --tree 'ksys_*' 'vfs_*' -- ls /
  fsession trace --hist --duration 5 vfs_read
  fsession trace --json --count 1 vfs_open | jq .args

Values:
  By the types that the kernel's BTF tells: numbers with their sign, masks in
  hexadecimal, modes in octal, enumerations and errors by name. A `char *` is
  shown as string, up to 64 bytes, as it is at the entry, a `char *` that is not
  const only if it looks like text. Of files, tasks, devices and the like the
  name follows the pointer in <>. What did not return is shown as `= ?`.

Counts:
  lost    calls for which there was no room: --buffer, --hist
  missed  times that the kernel did not run a session, as that was running on
          the CPU already (what it calls itself is traced as well)

JSON:
  {\"type\": \"call\", \"function\", \"module\" (null: the kernel's own), \"time_ns\" (of
  the entry, since boot), \"pid\", \"tid\", \"comm\", \"cpu\", \"args\": [{\"name\", \"type\",
  \"value\", \"string\" (a text, a name)}], \"returned\", \"ret\": {\"type\",
  \"value\", \"error\" (its name)} (null of a void function), \"duration_ns\",
  \"stack\": [\"caller+0x1\"] (with --stacks)}
  {\"type\": \"histogram\", \"function\", \"module\", \"calls\", \"buckets\": [{\"from_ns\",
  \"to_ns\", \"count\"}]} (with --hist)
  {\"type\": \"summary\", \"calls\", \"lost\", \"missed\"} is the last line.
  Pointers are strings, as their numbers are too large for many readers. What a
  command prints goes to standard error then, unless there is --output.

Attaching:
  By /dev/rust_fsession, with images that the module builds, or by BPF links,
  with those of the kernel. When fsession ends, however it ends, all is
  detached. A command goes on if fsession is stopped before it.

Lines are folded to the width of a terminal, or to $COLUMNS; otherwise a call is
one line. Exit status: 0, or 2 for errors, whatever the command's is.";

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let stop = signals()?;
        let btf = Btf::load()?;
        let chosen = select(&btf, &self.functions, self.max)?;
        let traced = chosen
            .iter()
            .map(|chosen| {
                Ok(Traced {
                    name: chosen.function.name.clone(),
                    module: chosen.function.module.clone(),
                    signature: Signature::of(&btf, &chosen.function)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut session = Session::attach(&btf, &chosen, &traced, self.wanted(), &stop)?;
        drop(btf);

        let output = Output::open(self.output.as_deref())?;
        let width = output.width();
        let mut out = BufWriter::new(output);
        let until = Until {
            stop: &stop,
            duration: self.duration,
            count: self.count,
        };
        let start = || self.start();
        let totals = if self.hist {
            let mut print = |traced: &Traced, histogram: &hist::Histogram| {
                if self.json {
                    let json = hist::json(&traced.name, traced.module.as_deref(), histogram)?;
                    writeln!(out, "{json}")?;
                } else if hist::calls(histogram) != 0 {
                    writeln!(out, "{}", hist::text(&traced.name, histogram, width))?;
                }
                Ok(())
            };
            run::histograms(&mut session, &traced, &until, &start, &mut print)?
        } else {
            let mut view = View::new(self.style(), self.layout(width), traced);
            run::calls(&mut session, &mut view, &until, &start, &mut out)?
        };
        if self.json {
            writeln!(out, "{}", json::totals(&totals)?)?;
        }
        out.flush()?;
        if !self.json {
            eprintln!("{totals}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            link: self.link,
            config: Config {
                follow: (!self.command.is_empty()).into(),
                records: (!self.hist).into(),
                stacks: self.stacks.into(),
                texts: may_read_memory().into(),
                histogram: self.hist.into(),
            },
            buffer: (self.buffer * 1024).next_power_of_two(),
        }
    }

    fn style(&self) -> Style {
        match (self.json, self.tree) {
            (true, _) => Style::Json,
            (_, true) => Style::Tree,
            _ => Style::Lines,
        }
    }

    fn layout(&self, width: Option<usize>) -> Layout {
        Layout {
            width,
            start: self.time.then(now),
        }
    }

    fn start(&self) -> Result<Option<Command>> {
        if self.command.is_empty() {
            return Ok(None);
        }
        let keep_stdout = self.json && self.output.is_none();
        Command::start(&self.command, keep_stdout).map(Some)
    }
}

/// What pointers lead to cannot be read where the kernel is locked down for confidentiality.
fn may_read_memory() -> bool {
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let may = !lockdown.contains("[confidentiality]");
    if !may {
        eprintln!("note: the kernel is locked down: strings are shown as pointers");
    }
    may
}

/// True after Ctrl-C. A second one ends the process at once: the kernel detaches.
fn signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// The clock of the records, in ns.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|err| err.to_string())
}
