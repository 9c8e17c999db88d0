// SPDX-License-Identifier: GPL-2.0

//! `fsession mode`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Tells or sets what the module does with the kernel's trampolines
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
