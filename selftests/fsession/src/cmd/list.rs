// SPDX-License-Identifier: GPL-2.0

//! `fsession list`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Lists the trampolines of the system
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
