// SPDX-License-Identifier: GPL-2.0

//! `fsession top`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Shows live what programs behind trampolines take
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
