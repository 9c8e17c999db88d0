// SPDX-License-Identifier: GPL-2.0

//! Runs the selftests and reports in KTAP, as kselftest wants it.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use clap::Parser;
use runner::harness::{self, Env, Test};
use runner::klog::{Klog, News};
use runner::ktap::{Outcome, Writer};
use runner::tests;

/// Selftests of rust_fsession
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    /// Tests to run [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Names the tests and what each shows
    #[arg(long)]
    list: bool,

    /// Seconds that one test may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,

    #[command(flatten)]
    env: Env,

    /// Runs one test in this process
    #[arg(long, hide = true, value_name = "NAME")]
    here: Option<String>,

    /// Keeps inherited descriptors open until standard input ends
    #[arg(long, hide = true)]
    hold: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.hold {
        io::copy(&mut io::stdin(), &mut io::sink())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.list {
        for test in tests::all() {
            println!("{:24} {}", test.name, test.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.here {
        return Ok(harness::run_here(find(name)?, &args.env).into());
    }

    let chosen: Vec<_> = match args.names.as_slice() {
        [] => tests::all().collect(),
        names => names.iter().map(|name| find(name)).collect::<Result<_>>()?,
    };
    run(&chosen, &args.env, Duration::from_secs(args.timeout))
}

fn find(name: &str) -> Result<&'static Test> {
    match tests::all().find(|test| test.name == name) {
        Some(test) => Ok(test),
        None => bail!("there is no test {name}, see runner --list"),
    }
}

fn run(chosen: &[&Test], env: &Env, timeout: Duration) -> Result<ExitCode> {
    let mut klog = Klog::open().context("cannot read the kernel log, is this root?")?;
    let mut ktap = Writer::new(io::stdout().lock(), chosen.len())?;

    for test in chosen {
        let start = Instant::now();
        let (mut outcome, mut text) = harness::run_apart(test, env, timeout)?;
        let took = start.elapsed();
        let news = klog.news()?;
        if news.splat {
            outcome = Outcome::Fail;
        }
        if outcome == Outcome::Fail {
            explain(&mut text, test, &news);
        }
        ktap.result(test.name, &outcome, took, &text)?;
    }

    // What was freed late may complain late.
    std::thread::sleep(Duration::from_millis(500));
    let news = klog.news()?;
    if news.splat {
        ktap.diagnostics("the kernel log has a splat after the last test")?;
        ktap.diagnostics(&news.lines.join("\n"))?;
        ktap.totals.fail += 1;
    }
    Ok(ktap.finish()?.exit_code().into())
}

fn explain(text: &mut String, test: &Test, news: &News) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if news.splat {
        *text += "the kernel log has a splat\n";
    }
    for line in &news.lines {
        *text += &format!("kernel: {line}\n");
    }
    *text += &format!("reproduce: make vmtest T={}\n", test.name);
}
