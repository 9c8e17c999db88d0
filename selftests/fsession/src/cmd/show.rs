// SPDX-License-Identifier: GPL-2.0

//! `fsession show`

use std::process::ExitCode;

use anyhow::{bail, Result};

/// Shows a trampoline: header, stack frame, annotated disassembly
#[derive(clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        bail!("not built yet")
    }
}
