// SPDX-License-Identifier: GPL-2.0

//! `fsession dump`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Saves all trampolines of this kernel to a file
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
