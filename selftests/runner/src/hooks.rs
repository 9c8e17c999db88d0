// SPDX-License-Identifier: GPL-2.0

//! The module's hooks on the kernel's own trampolines, controlled in debugfs.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use uapi::debugfs::{self, MISMATCHES};
pub use uapi::debugfs::{Mode, MODE, STATS};

/// The kernel keeps the mode when a test ends, however that happens, so this
/// turns the hooks off when it is dropped.
#[must_use]
pub struct Hooked(());

impl Hooked {
    pub fn set(&self, mode: Mode) -> Result<()> {
        write(mode.name()).with_context(|| format!("cannot write {} to {MODE}", mode.name()))
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        // Without the module there is no mode.
        if Path::new(MODE).exists() {
            self.set(Mode::Off)
                .expect("the hooks can always be turned off");
        }
    }
}

/// Sets the mode until the returned value is dropped.
pub fn hook(mode: Mode) -> Result<Hooked> {
    let hooked = Hooked(());
    hooked.set(mode)?;
    Ok(hooked)
}

/// Runs `body` in mode off, the kernel alone.
pub fn unhooked<T>(body: impl FnOnce() -> T) -> Result<T> {
    let before = mode()?;
    write(Mode::Off.name())?;
    let value = body();
    write(&before)?;
    Ok(value)
}

/// The file `mode`, open for writing.
pub fn open() -> io::Result<File> {
    OpenOptions::new().write(true).open(MODE)
}

/// Writes anything to `mode`.
pub fn write(text: &str) -> io::Result<()> {
    open()?.write_all(text.as_bytes())
}

pub fn mode() -> Result<String> {
    fs::read_to_string(MODE).with_context(|| format!("cannot read {MODE}"))
}

/// The counters of `stats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    pub fn read() -> Result<Self> {
        let counters = debugfs::stats().with_context(|| format!("cannot read {STATS}"))?;
        Ok(Self(counters.into_iter().collect()))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What has been counted since these were read.
    pub fn since(&self) -> Result<Self> {
        let mut now = Self::read()?;
        for (name, value) in &mut now.0 {
            let before = self.get(name)?;
            ensure!(*value >= before, "{name} went down from {before}");
            *value -= before;
        }
        Ok(now)
    }

    pub fn get(&self, name: &str) -> Result<u64> {
        self.0
            .get(name)
            .copied()
            .with_context(|| format!("{STATS} has no {name}"))
    }

    /// The first of `counters` that is 0.
    pub fn first_zero<'a>(&self, counters: &[&'a str]) -> Result<Option<&'a str>> {
        for counter in counters {
            if self.get(counter)? == 0 {
                return Ok(Some(counter));
            }
        }
        Ok(None)
    }

    /// Fails unless all of `counters` have gone up.
    pub fn check_up(&self, counters: &[&str]) -> Result<()> {
        match self.first_zero(counters)? {
            Some(counter) => bail!("{counter} did not go up"),
            None => Ok(()),
        }
    }

    /// Whatever the mode: both builders agree, and Rust can do everything.
    pub fn check_clean(&self) -> Result<()> {
        for name in ["different", "fallbacks", "errors"] {
            let value = self.get(name)?;
            ensure!(
                value == 0,
                "{name} {value}, the first difference: {}",
                mismatches()?.first().map_or("not kept", String::as_str)
            );
        }
        Ok(())
    }
}

impl std::fmt::Display for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.0.iter().filter(|(_, value)| **value != 0);
        let shown: Vec<_> = shown
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        f.write_str(&shown.join(", "))
    }
}

/// What the files of `mismatches/` hold, by number; those that hold nothing are
/// left out.
pub fn mismatches() -> Result<Vec<String>> {
    let mut texts = mismatch_files()?;
    texts.retain(|text| !text.is_empty());
    Ok(texts)
}

/// All files of `mismatches/`, in order.
pub fn mismatch_files() -> Result<Vec<String>> {
    let paths = mismatch_paths()?;
    Ok(paths
        .iter()
        .map(fs::read_to_string)
        .collect::<io::Result<_>>()?)
}

/// Their paths.
pub fn mismatch_paths() -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(MISMATCHES)
        .with_context(|| format!("cannot read {MISMATCHES}"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}
