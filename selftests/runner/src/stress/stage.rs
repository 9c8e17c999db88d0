// SPDX-License-Identifier: GPL-2.0

//! What all actors play on, made before the first one starts: they are copies of the
//! process that made it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::board::Board;
use super::programs::Programs;
use super::turn::PLACES_EACH;

/// Most actors at a time.
pub const SLOTS: usize = super::programs::PLACES / PLACES_EACH;

pub struct Stage {
    pub board: Board,
    pub programs: Programs,
    pub seed: u64,
    pub bpf: PathBuf,
    pub module: PathBuf,
    pub cpus: usize,
    /// How long an actor may wait for others: the machine has other things to do.
    pub patience: Duration,
    /// Whether memory is made short: allocations may fail then.
    pub short_of_memory: bool,
}

impl Stage {
    pub fn new(bpf: &Path, module: &Path, seed: u64, patience: Duration) -> Result<Self> {
        let cpus = std::thread::available_parallelism().context("how many CPUs?")?;
        Ok(Self {
            board: Board::new(SLOTS)?,
            programs: Programs::load(bpf)?,
            seed,
            bpf: bpf.to_owned(),
            module: module.to_owned(),
            cpus: cpus.get(),
            patience,
            short_of_memory: false,
        })
    }

    /// Whether an error may come of memory that is short on purpose.
    pub fn may_fail(&self, err: &io::Error) -> bool {
        self.short_of_memory
            && [libc::ENOMEM, libc::EAGAIN].contains(&err.raw_os_error().unwrap_or(0))
    }

    /// Another module, from the directory of the first one.
    pub fn other_module(&self, name: &str) -> PathBuf {
        self.module.with_file_name(format!("{name}.ko"))
    }
}
