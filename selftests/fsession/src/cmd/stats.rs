// SPDX-License-Identifier: GPL-2.0

//! `fsession stats`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Tells what the module has counted
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
