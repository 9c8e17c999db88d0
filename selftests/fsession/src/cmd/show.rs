// SPDX-License-Identifier: GPL-2.0

//! `fsession show`: one trampoline, whole.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use trampoline::document::{Host, Trampoline};
use trampoline::frame_map::FrameMap;
use trampoline::reading::Reading;
use trampoline::view;

use crate::cmd::dump;
use crate::screen;

/// Shows a trampoline: what it is, its stack frame, its annotated code
///
/// The frame is drawn with its positions from rbp and what lives there. The code says for each
/// instruction what it is for; a detached program, which the image jumps over, is struck through.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fsession show vfs_read                  what is on vfs_read()
  fsession show 0xffffffffc0201040        the image that has this address
  fsession show vfs_read --frame-map      where its frame has what, as JSON
  fsession show vfs_read --raw >image.bin the bytes
  fsession show vfs_read --from before.json")]
pub struct Args {
    /// A traced function, the key or name of an image, an address in it, or a program
    #[arg(value_name = "FUNCTION|KEY|ADDRESS|PROGRAM")]
    what: String,

    /// Look into a saved dump in place of the running kernel
    #[arg(long, value_name = "DUMP")]
    from: Option<PathBuf>,

    /// Everything as JSON: the trampoline as in a dump, and the reading of its code
    #[arg(long, conflicts_with_all = ["raw", "frame_map"])]
    json: bool,

    /// The bytes of the code alone
    #[arg(long, conflicts_with = "frame_map")]
    raw: bool,

    /// The stack frame alone, as JSON for other tools
    #[arg(long)]
    frame_map: bool,
}

/// `--json`
#[derive(Serialize)]
struct Document<'a> {
    host: &'a Host,
    trampoline: &'a Trampoline,
    reading: &'a Reading,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let dump = dump::of(self.from.as_deref())?;
        let trampoline = dump.find(&self.what)?;
        let mut out = anstream::stdout().lock();
        if self.raw {
            // Bytes are no text.
            let mut out = std::io::stdout().lock();
            out.write_all(&trampoline.code)?;
            out.flush()?;
            return Ok(ExitCode::SUCCESS);
        }
        let reading = Reading::new(trampoline)?;
        if self.json {
            let document = Document {
                host: &dump.host,
                trampoline,
                reading: &reading,
            };
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        } else if self.frame_map {
            let map = FrameMap::new(&dump.host, trampoline, &reading);
            writeln!(out, "{}", serde_json::to_string_pretty(&map)?)?;
        } else {
            write!(out, "{}", text(trampoline, &reading, screen::width()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The whole view, so many columns wide.
pub fn text(trampoline: &Trampoline, reading: &Reading, width: usize) -> String {
    [
        view::header::header(trampoline, reading, width),
        view::picture::picture(reading, width),
        view::listing::listing(reading, width),
    ]
    .join("\n")
}
