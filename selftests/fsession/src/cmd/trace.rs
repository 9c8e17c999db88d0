// SPDX-License-Identifier: GPL-2.0

//! `fsession trace`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Traces functions by sessions
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
