// SPDX-License-Identifier: GPL-2.0

//! `fsession compare`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Has both builders build the same images
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
