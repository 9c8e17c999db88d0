// SPDX-License-Identifier: GPL-2.0

//! Runs the selftests and reports in KTAP, as kselftest wants it.

use std::collections::HashSet;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use clap::Parser;
use runner::attach::Via;
use runner::harness::{self, Env, Test};
use runner::holder;
use runner::klog::{Klog, News};
use runner::kmod;
use runner::ktap::{Outcome, Writer};
use runner::skips;
use runner::tests;
use runner::tests::kexec::{self, Left};

/// Selftests of rust_fsession
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    /// Tests to run [default: all]: NAME in every way, takeover.NAME in one, or
    /// all that begin like PART*
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Names the tests and what each shows
    #[arg(long)]
    list: bool,

    /// How programs are put on functions, each way after the other
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["device", "takeover"])]
    via: Vec<Via>,

    /// Seconds that one test may take (with every debugging option, in an
    /// emulated machine, the longest take minutes)
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,

    /// Runs the tests that leave ftrace dead until the next boot, and no others
    #[arg(long)]
    dead: bool,

    /// Runs the tests that lock the kernel down until the next boot, and no others
    #[arg(long, conflicts_with = "dead")]
    lockdown: bool,

    /// Runs the test that boots another kernel, and no others
    #[arg(long, conflicts_with_all = ["dead", "lockdown"])]
    kexec: bool,

    /// Ends that test in the other kernel
    #[arg(long, hide = true, value_name = "LEFT")]
    kexeced: Option<Left>,

    /// Stops at the first failure
    #[arg(long)]
    fail_fast: bool,

    #[command(flatten)]
    env: Env,

    /// Runs one test in this process
    #[arg(long, hide = true, value_name = "NAME")]
    here: Option<String>,

    /// Keeps inherited descriptors open until standard input ends
    #[arg(long, hide = true)]
    hold: bool,

    /// Tries what may be done with descriptors that it gets from this place
    #[arg(long, hide = true)]
    holder: Option<holder::From>,

    /// Unloads the module
    #[arg(long, hide = true)]
    unload: bool,

    /// Fails tests that cannot be run here, expected or not
    #[arg(long)]
    no_skips: bool,

    /// Judges the kernel log from this line on, not only from the first test on
    #[arg(long, hide = true, value_name = "LINE")]
    since: Option<String>,

    /// Runs no tests, only judges the kernel log
    #[arg(long, hide = true, requires = "since")]
    only_log: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.hold {
        io::copy(&mut io::stdin(), &mut io::sink())?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(from) = args.holder {
        holder::act(from)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.unload {
        kmod::unload()?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(left) = &args.kexeced {
        return finish_kexec(left, &args);
    }
    if args.only_log {
        let complaints = log_at("the end", &open_log(&args)?.news()?);
        complaints.lines().for_each(|line| println!("# {line}"));
        return Ok(u8::from(!complaints.is_empty()).into());
    }
    let all: Vec<_> = if args.dead {
        tests::last()
            .map(|test| Run::new(Via::Device, test))
            .collect()
    } else if args.lockdown {
        tests::locked()
            .map(|test| Run::new(Via::Device, test))
            .collect()
    } else if args.kexec {
        tests::kexec()
            .map(|test| Run::new(Via::Device, test))
            .collect()
    } else {
        args.via.iter().copied().flat_map(Run::all).collect()
    };
    if args.list {
        // Those of several ways once.
        let mut seen = HashSet::new();
        for test in all.iter().map(|run| run.test) {
            if seen.insert(test.name) {
                println!("{:24} {}", test.name, test.what);
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.here {
        let last = tests::last().chain(tests::locked()).chain(tests::kexec());
        let last = last.map(|test| Run::new(Via::Device, test));
        let run = all.into_iter().chain(last).find(|run| run.name == *name);
        let run = run.with_context(|| format!("there is no test {name}"))?;
        return Ok(harness::run_here(run.test, &run.env(&args.env)).into());
    }

    let chosen = match args.names.as_slice() {
        [] => all,
        names => choose(&all, names)?,
    };
    run(&chosen, &args)
}

/// The result of the test that began in another kernel, which has planned it.
fn finish_kexec(left: &Left, args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let (outcome, text) = match kexec::finish(&args.env, left) {
        Ok(()) => (Outcome::Pass, left.to_string()),
        Err(err) => (Outcome::Fail, format!("{left}\n{err:#}")),
    };
    let mut ktap = Writer::resume(io::stdout().lock());
    for test in tests::kexec() {
        ktap.result(test.name, &outcome, start.elapsed(), &text)?;
    }
    Ok(ktap.finish()?.exit_code().into())
}

/// A test in one of its ways.
#[derive(Clone)]
struct Run {
    via: Via,
    test: &'static Test,
    /// The test's own, after that of any way but the module's device.
    name: String,
}

impl Run {
    fn all(via: Via) -> impl Iterator<Item = Self> {
        tests::all(via).map(move |test| Self::new(via, test))
    }

    fn new(via: Via, test: &'static Test) -> Self {
        Self {
            via,
            test,
            name: match via {
                Via::Device => test.name.to_owned(),
                _ => format!("{}.{}", via.name(), test.name),
            },
        }
    }

    fn is_meant(&self, name: &str) -> bool {
        let mine = [self.name.as_str(), self.test.name];
        match name.strip_suffix('*') {
            Some(part) => mine.iter().any(|mine| mine.starts_with(part)),
            None => mine.contains(&name),
        }
    }

    fn env(&self, env: &Env) -> Env {
        Env {
            via: self.via,
            ..env.clone()
        }
    }
}

/// What `names` name, in their order.
fn choose(all: &[Run], names: &[String]) -> Result<Vec<Run>> {
    let mut chosen = Vec::new();
    for name in names {
        let before = chosen.len();
        chosen.extend(all.iter().filter(|run| run.is_meant(name)).cloned());
        ensure!(
            chosen.len() > before,
            "there is no test {name}, see runner --list"
        );
    }
    Ok(chosen)
}

fn run(chosen: &[Run], args: &Args) -> Result<ExitCode> {
    let timeout = Duration::from_secs(args.timeout);
    let mut klog = open_log(args)?;
    let mut ktap = Writer::new(io::stdout().lock(), chosen.len())?;
    ktap.diagnostics(&format!("seed {}", args.env.seed))?;
    let before = log_at("the beginning", &klog.news()?);
    ktap.diagnostics(&before)?;

    for run in chosen {
        let start = Instant::now();
        let (mut outcome, mut text) = harness::run_apart(&run.name, &run.env(&args.env), timeout)?;
        let took = start.elapsed();
        let news = klog.news()?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        outcome = judge(run, outcome, &news, args.no_skips, &mut text);
        if outcome == Outcome::Fail {
            explain(&mut text, run, args.env.seed, &news);
        }
        ktap.result(&run.name, &outcome, took, &text)?;
        if args.fail_fast && outcome == Outcome::Fail {
            ktap.diagnostics("stopped at the first failure")?;
            break;
        }
    }

    // What was freed late may complain late.
    std::thread::sleep(Duration::from_millis(500));
    let after = log_at("the last test", &klog.news()?);
    ktap.diagnostics(&after)?;
    for text in [before, after] {
        ktap.totals.fail += usize::from(!text.is_empty());
    }
    Ok(ktap.finish()?.exit_code().into())
}

/// What becomes of an outcome with a look at the log, and at what may be skipped.
fn judge(run: &Run, outcome: Outcome, news: &News, no_skips: bool, text: &mut String) -> Outcome {
    let skipped = matches!(outcome, Outcome::Skip(_));
    // A test that was skipped has caused no warning.
    let expected = if skipped { &[] } else { run.test.warns };
    let mut complaints = news.complaints(expected);
    if let Outcome::Skip(reason) = &outcome {
        if no_skips || !skips::is_expected(&run.name, run.test.name, reason) {
            complaints.push(format!("it was not to be skipped: {reason}"));
        }
    }
    for complaint in &complaints {
        *text += &format!("{complaint}\n");
    }
    match complaints.is_empty() {
        true => outcome,
        false => Outcome::Fail,
    }
}

fn open_log(args: &Args) -> Result<Klog> {
    Klog::open(args.since.as_deref()).context("cannot read the kernel log, is this root?")
}

/// What is wrong with the log before or after all tests.
fn log_at(place: &str, news: &News) -> String {
    let mut text = String::new();
    for complaint in news.complaints(&[]) {
        text += &format!("at {place}: {complaint}\n");
    }
    if !text.is_empty() {
        tell(&mut text, news);
    }
    text
}

fn tell(text: &mut String, news: &News) {
    for line in &news.lines {
        *text += &format!("kernel: {}\n", line.text);
    }
}

fn explain(text: &mut String, run: &Run, seed: u64, news: &News) {
    tell(text, news);
    let dead = if tests::last().any(|test| test.name == run.test.name) {
        "--dead "
    } else if tests::locked().any(|test| test.name == run.test.name) {
        "--lockdown "
    } else if tests::kexec().any(|test| test.name == run.test.name) {
        "--kexec "
    } else {
        ""
    };
    *text += &format!(
        "reproduce: make vmtest T='--seed {seed} {dead}{}'\n",
        run.name
    );
}
