// SPDX-License-Identifier: GPL-2.0

//! Where calls are printed to.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{anyhow, Result};

use super::program::os_text;

/// A file, or standard output without colours where nobody sees them.
pub enum Output {
    File(anstream::StripStream<File>),
    Stdout(anstream::Stdout),
}

impl Output {
    /// The file at `path`, or standard output.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout(anstream::stdout()));
        };
        let file = File::create(path)
            .map_err(|err| anyhow!("cannot write {}: {}", path.display(), os_text(&err)))?;
        Ok(Self::File(anstream::StripStream::new(file)))
    }

    /// Columns to fold lines to. None where they are read by another program.
    pub fn width(&self) -> Option<usize> {
        if matches!(self, Self::File(_)) {
            return None;
        }
        let columns = std::env::var("COLUMNS").ok();
        if let Some(columns) = columns.and_then(|text| text.parse().ok()) {
            return Some(columns);
        }
        if !io::stdout().is_terminal() {
            return None;
        }
        rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|width| *width != 0)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}
