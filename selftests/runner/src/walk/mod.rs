// SPDX-License-Identifier: GPL-2.0

//! Every allocation and every copy from and to user memory on the way of an operation
//! made to fail, one after the other (`fail-nth` in
//! `Documentation/fault-injection/fault-injection.rst`), and registrations by a kprobe.

pub mod hooks;
pub mod ops;
pub mod registrations;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{ensure, Context, Result};

use crate::badinput::errnos;

const DEBUGFS: &str = "/sys/kernel/debug";
/// The kinds of faults; the last one is of user memory.
const KINDS: [&str; 3] = ["failslab", "fail_page_alloc", "fail_usercopy"];

/// Which calls count as points: all, or those that have a certain code on their stack.
#[derive(Clone, Copy, Debug)]
pub enum Scope {
    All,
    /// Between two addresses.
    Below(u64, u64),
}

/// The counter of the current thread.
pub struct Nth(File);

impl Nth {
    /// `None` where the kernel injects no faults.
    pub fn open() -> Result<Option<Self>> {
        let path = "/proc/thread-self/fail-nth";
        let kinds = KINDS.map(|kind| Path::new(DEBUGFS).join(kind));
        if !Path::new(path).exists() || !kinds[..2].iter().all(|kind| kind.exists()) {
            return Ok(None);
        }
        for kind in kinds.iter().filter(|kind| kind.exists()) {
            // Nothing is left out, and nothing is logged: a stack trace there is a splat.
            for (name, value) in [
                ("ignore-gfp-wait", "N"),
                ("ignore-gfp-highmem", "N"),
                ("min-order", "0"),
                ("verbose", "0"),
                ("stacktrace-depth", "32"),
            ] {
                let file = kind.join(name);
                if file.exists() {
                    fs::write(&file, value).with_context(|| format!("{}", file.display()))?;
                }
            }
        }
        let file = File::options().read(true).write(true).open(path)?;
        let nth = Self(file);
        nth.scope(Scope::All)?;
        Ok(Some(nth))
    }

    /// From now on only these count.
    pub fn scope(&self, scope: Scope) -> Result<()> {
        let (start, end) = match scope {
            Scope::All => (0, u64::MAX),
            Scope::Below(start, end) => (start, end),
        };
        for kind in KINDS {
            let dir = Path::new(DEBUGFS).join(kind);
            for (name, value) in [("require-start", start), ("require-end", end)] {
                let file = dir.join(name);
                if dir.exists() {
                    fs::write(&file, format!("{value:#x}"))
                        .with_context(|| format!("{}", file.display()))?;
                }
            }
        }
        Ok(())
    }

    fn arm(&self, n: u32) -> io::Result<()> {
        self.0.write_all_at(n.to_string().as_bytes(), 0)
    }

    /// Whether that many points were met.
    fn disarm(&self) -> io::Result<bool> {
        let mut text = [0; 16];
        let read = self.0.read_at(&mut text, 0);
        // To read it, or to write it, may be the very point.
        let met = read.is_ok_and(|len| text[..len].trim_ascii() == b"0");
        self.arm(0).or_else(|_| self.arm(0))?;
        Ok(met)
    }
}

/// What a walk came to.
pub struct Report {
    name: String,
    pub points: u32,
    pub wrong: Vec<String>,
    /// How often the operation gave which errno; 0 is success.
    errnos: BTreeMap<i32, u32>,
    whole: bool,
}

impl Report {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            points: 0,
            wrong: Vec::new(),
            errnos: BTreeMap::new(),
            whole: true,
        }
    }

    /// Counts a point: what the operation said, and whether all was right then.
    pub fn count<T>(&mut self, at: impl fmt::Display, result: &io::Result<T>, right: Result<()>) {
        self.points += 1;
        *self.errnos.entry(errno(result)).or_default() += 1;
        if let Err(why) = right {
            self.wrong.push(format!("{at}: {why:#}"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = self.points as usize - self.wrong.len().min(self.points as usize);
        write!(
            f,
            "{:24} {:5} points walked, {right:5} right:",
            self.name, self.points
        )?;
        for (errno, count) in &self.errnos {
            write!(f, " {} {count}", errnos::text(*errno))?;
        }
        if !self.whole {
            write!(f, " (not to the end)")?;
        }
        for wrong in self.wrong.iter().take(5) {
            write!(f, "\n  wrong at {wrong}")?;
        }
        Ok(())
    }
}

fn errno<T>(result: &io::Result<T>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(err) => err.raw_os_error().unwrap_or(-1),
    }
}

/// Lets the first point of `op` fail, then the second, until there is none. `check` sees
/// what became of it; without a fault, the operation has to succeed.
pub fn walk<S, T>(
    nth: &Nth,
    name: &str,
    most: u32,
    mut setup: impl FnMut() -> Result<S>,
    mut op: impl FnMut(&mut S) -> io::Result<T>,
    mut check: impl FnMut(S, &io::Result<T>) -> Result<()>,
) -> Result<Report> {
    let mut report = Report::new(name);
    for n in 1.. {
        if n > most {
            report.whole = false;
            break;
        }
        let mut state = setup().with_context(|| format!("{name}, before point {n}"))?;
        nth.arm(n)?;
        let result = op(&mut state);
        let met = nth.disarm()?;
        let errno = errno(&result);
        let right = check(state, &result);
        if !met {
            ensure!(
                errno == 0,
                "{name} gives errno {errno} without a fault, at {n}"
            );
            right.with_context(|| format!("{name} without a fault"))?;
            break;
        }
        report.count(format!("point {n}, errno {errno}"), &result, right);
        if n % 50 == 0 {
            println!("  {name}: {n} points");
        }
        if report.wrong.len() > 20 {
            report.whole = false;
            break;
        }
    }
    println!("{report}");
    Ok(report)
}
