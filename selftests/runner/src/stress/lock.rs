// SPDX-License-Identifier: GPL-2.0

//! Locks between actors, which who is killed lets go of.

use std::fs::File;

use anyhow::Result;
use rustix::fs::{flock, FlockOperation};

pub fn lock(name: &str, how: FlockOperation) -> Result<File> {
    let lock = File::create(format!("/tmp/stress.{name}"))?;
    flock(&lock, how)?;
    Ok(lock)
}
