// SPDX-License-Identifier: GPL-2.0

//! From attached sessions to what is printed.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::command::Command;
use super::lines::Traced;
use super::program::Program;
use super::ring::Ring;
use super::session::Session;
use super::view::View;
use super::{hist, Totals};

/// Without records, how long it takes to look at signals, times and losses.
const TICK: Duration = Duration::from_millis(100);
const LOSS_NOTE: Duration = Duration::from_secs(1);

/// When to end.
pub struct Until<'a> {
    /// Set by Ctrl-C.
    pub stop: &'a AtomicBool,
    pub duration: Option<Duration>,
    /// Calls.
    pub count: Option<u64>,
}

/// What is traced: all tasks if that is None, or a command, which is started then.
pub type Start<'a> = &'a dyn Fn() -> Result<Option<Command>>;

/// Prints calls until it is over.
pub fn calls(
    session: &mut Session,
    view: &mut View,
    until: &Until<'_>,
    start: Start<'_>,
    out: &mut impl Write,
) -> Result<Totals> {
    let ring = Ring::new(&session.program)?;
    write!(out, "{}", view.header())?;
    out.flush()?;
    let mut command = start()?;
    let mut watch = Watch::new(until);
    let enough = |view: &View| until.count.is_some_and(|count| view.over >= count);
    loop {
        ring.wait(command.as_ref().map(Command::ended), watch.timeout())?;
        if take(&ring, view, &enough, out)? == 0 {
            write!(out, "{}", view.pause())?;
        }
        out.flush()?;
        watch.losses(&session.program)?;
        if watch.is_over() || enough(view) || has_ended(command.as_mut())? {
            break;
        }
    }
    let missed = session.detach()?;
    // What was recorded until then: nothing comes any more.
    while !enough(view) && take(&ring, view, &enough, out)? != 0 {}
    if !enough(view) {
        write!(out, "{}", view.finish())?;
    }
    Ok(Totals {
        calls: view.over,
        lost: session.program.counts()?.lost(),
        missed,
    })
}

/// Prints what has been recorded. Returns how many records that was.
fn take(
    ring: &Ring,
    view: &mut View,
    enough: &dyn Fn(&View) -> bool,
    out: &mut impl Write,
) -> Result<usize> {
    let records = ring.take()?;
    let count = records.len();
    for record in records {
        write!(out, "{}", view.record(record))?;
        if enough(view) {
            break;
        }
    }
    Ok(count)
}

/// Counts durations until it is over, and prints them.
pub fn histograms(
    session: &mut Session,
    traced: &[Traced],
    until: &Until<'_>,
    start: Start<'_>,
    print: &mut dyn FnMut(&Traced, &hist::Histogram) -> Result<()>,
) -> Result<Totals> {
    let ring = Ring::new(&session.program)?;
    let mut command = start()?;
    let watch = Watch::new(until);
    while !watch.is_over() && !has_ended(command.as_mut())? {
        ring.wait(command.as_ref().map(Command::ended), watch.timeout())?;
    }
    let missed = session.detach()?;
    let mut calls = 0;
    for (number, traced) in traced.iter().enumerate() {
        let histogram = session.program.histogram(number)?;
        calls += hist::calls(&histogram);
        print(traced, &histogram)?;
    }
    Ok(Totals {
        calls,
        lost: 0,
        missed,
    })
}

/// Tells of the command's end.
fn has_ended(command: Option<&mut Command>) -> Result<bool> {
    let Some(status) = command.map(Command::status).transpose()?.flatten() else {
        return Ok(false);
    };
    if !status.success() {
        eprintln!("note: the command has ended with {status}");
    }
    Ok(true)
}

/// Times of a run.
struct Watch<'a> {
    stop: &'a AtomicBool,
    end: Option<Instant>,
    noted: Instant,
    lost: u64,
}

impl<'a> Watch<'a> {
    fn new(until: &Until<'a>) -> Self {
        let now = Instant::now();
        Self {
            stop: until.stop,
            end: until
                .duration
                .and_then(|duration| now.checked_add(duration)),
            noted: now,
            lost: 0,
        }
    }

    fn timeout(&self) -> Duration {
        match self.end {
            Some(end) => end.saturating_duration_since(Instant::now()).min(TICK),
            None => TICK,
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Says on standard error what was lost, once a second at most.
    fn losses(&mut self, program: &Program) -> Result<()> {
        if self.noted.elapsed() < LOSS_NOTE {
            return Ok(());
        }
        self.noted = Instant::now();
        let lost = program.counts()?.lost();
        if lost > self.lost {
            self.lost = lost;
            eprintln!("note: {lost} lost so far: a larger --buffer may help, or --hist");
        }
        Ok(())
    }
}
