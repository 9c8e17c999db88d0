// SPDX-License-Identifier: GPL-2.0

//! `fsession diff`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Compares two images
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
