// SPDX-License-Identifier: GPL-2.0

//! Everything that is attached.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{ensure, Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::attach::{raise_limit, Attached, Way};
use super::lines::Traced;
use super::program::{misses, Program};
use super::record::Config;
use super::select::Chosen;
use crate::kernel::btf::Btf;

pub struct Session {
    pub program: Program,
    copies: Vec<OwnedFd>,
    attached: Vec<Attached>,
}

/// How it is to be attached.
pub struct Wanted {
    /// By BPF links, also where the module is loaded.
    pub link: bool,
    pub config: Config,
    /// Bytes of the ring buffer, a power of 2.
    pub buffer: u32,
}

impl Session {
    /// Attaches to as many of `chosen` as can be, to all of them that were named.
    pub fn attach(
        btf: &Btf,
        chosen: &[Chosen],
        traced: &[Traced],
        wanted: Wanted,
        stop: &AtomicBool,
    ) -> Result<Self> {
        raise_limit(chosen.len())?;
        let functions: Vec<_> = traced
            .iter()
            .map(|traced| traced.signature.config())
            .collect();
        let mut session = Self {
            program: Program::load(btf, wanted.config, &functions, wanted.buffer)?,
            copies: Vec::new(),
            attached: Vec::new(),
        };
        let way = Way::choose(wanted.link)?;
        let bar = progress(chosen.len());
        let mut refused = Vec::new();
        for (number, chosen) in (0u64..).zip(chosen) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let done = session.add(way, chosen, number);
            match done {
                Err(err) if chosen.is_named => return Err(err),
                Err(err) => refused.push(err),
                Ok(()) => (),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        if let Some(first) = refused.first() {
            let count = refused.len();
            ensure!(
                !session.attached.is_empty(),
                "none of {count} functions can be traced, the first: {first:#}"
            );
            eprintln!(
                "note: {count} of {} cannot be traced, the first: {first:#}",
                chosen.len()
            );
        }
        Ok(session)
    }

    fn add(&mut self, way: Way, chosen: &Chosen, number: u64) -> Result<()> {
        let copy = self.program.copy_for(&chosen.function)?;
        let attached = way.attach(copy.as_fd(), &chosen.function.name, number)?;
        self.copies.push(copy);
        self.attached.push(attached);
        Ok(())
    }

    /// Detaches everything, and tells how often sessions were missed.
    pub fn detach(&mut self) -> Result<u64> {
        self.attached.clear();
        let mut missed = 0;
        for copy in &self.copies {
            missed += misses(copy.as_fd()).context("cannot ask for missed sessions")?;
        }
        Ok(missed)
    }
}

fn progress(count: usize) -> ProgressBar {
    // It is hidden where standard error is no terminal.
    let bar = match count {
        ..10 => ProgressBar::hidden(),
        _ => ProgressBar::new(count as u64),
    };
    let style = ProgressStyle::with_template("attaching {bar:20} {pos}/{len}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
