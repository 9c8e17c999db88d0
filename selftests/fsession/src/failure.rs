// SPDX-License-Identifier: GPL-2.0

//! How the command fails: one line on standard error, and a status.

use std::io;
use std::process::ExitCode;

use anstyle::AnsiColor;

/// Status of an error. (`diff` and `compare` have 1 for differences.)
pub const ERROR: u8 = 2;

/// Says what went wrong. A reader that went away (`fsession list | head`) is no error.
pub fn report(err: &anyhow::Error) -> ExitCode {
    let broken_pipe = err
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe {
        return ExitCode::SUCCESS;
    }
    let style = AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{style}error{style:#}: {err:#}");
    ExitCode::from(ERROR)
}
