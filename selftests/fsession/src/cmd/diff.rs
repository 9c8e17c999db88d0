// SPDX-License-Identifier: GPL-2.0

//! `fsession diff`: two images, or two dumps.

mod builders;
mod mismatch;
mod side;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use serde::Serialize;
use trampoline::diff::{compare_dumps, By, Diff};
use trampoline::document::Trampoline;
use trampoline::reading::Reading;
use trampoline::view;

use side::{Image, Side};

/// Compares two images, or all images of two dumps
///
/// With one function, C's image of what is attached there is held against Rust's; that takes the
/// module. The exit status is 0 where there is no difference, 1 where there is one, 2 for an
/// error.
///
/// Addresses of the image, of programs and of functions do not count, unless --bytes is given.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fsession diff vfs_read                  C beside Rust
  fsession diff vfs_read vfs_write        two trampolines of this kernel
  fsession diff before.json after.json    all images of two dumps
  fsession diff before.json:vfs_read after.json:vfs_read
  fsession diff before.json:vfs_read vfs_read
  fsession diff image-a.bin image-b.bin   saved by `fsession show --raw`
  fsession diff --mismatch 0              what shadow mode has kept")]
pub struct Args {
    /// A function, key, address or program of this kernel; a dump; DUMP:FUNCTION; a file of bytes
    #[arg(required_unless_present = "mismatch")]
    a: Option<String>,

    /// The same, to hold it against
    b: Option<String>,

    /// The images that shadow mode has kept under this number
    #[arg(long, value_name = "NUMBER", conflicts_with = "a")]
    mismatch: Option<u8>,

    /// Compare bytes
    #[arg(long)]
    bytes: bool,

    /// All images of two dumps, also those that are the same
    #[arg(long)]
    all: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `--json` of two images.
#[derive(Serialize)]
struct Document<'a> {
    equal: bool,
    labels: [&'a str; 2],
    trampolines: [&'a Trampoline; 2],
    #[serde(flatten)]
    diff: &'a Diff,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let by = if self.bytes { By::Bytes } else { By::Meaning };
        let mut sides = match (&self.a, &self.b, self.mismatch) {
            (_, _, Some(number)) => mismatch::read(number)?.map(Side::Image),
            (Some(a), Some(b), None) => [side::parse(a)?, side::parse(b)?],
            (Some(a), None, None) => builders::both(a)?.map(Side::Image),
            (None, _, None) => bail!("nothing to compare: see `fsession diff --help`"),
        };
        if let [Side::Image(a), Side::Image(b)] = &mut sides {
            builders::lend_names(&mut a.trampoline, &b.trampoline);
            builders::lend_names(&mut b.trampoline, &a.trampoline);
        }
        let equal = match &sides {
            [Side::Image(a), Side::Image(b)] => self.images(a, b, by)?,
            [Side::Dump(a), Side::Dump(b)] => {
                let diff = compare_dumps(&a.dump, &b.dump, by);
                let mut out = anstream::stdout().lock();
                if self.json {
                    writeln!(out, "{}", serde_json::to_string_pretty(&diff)?)?;
                } else {
                    let labels = [a.label.as_str(), b.label.as_str()];
                    write!(out, "{}", view::diff::dumps(labels, &diff, self.all))?;
                }
                diff.is_equal()
            }
            _ => bail!("one side is a dump, the other one image: name the image, as DUMP:FUNCTION"),
        };
        Ok(if equal {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }

    fn images(&self, a: &Image, b: &Image, by: By) -> Result<bool> {
        let read =
            |image: &Image| Reading::new(&image.trampoline).with_context(|| image.label.clone());
        let (read_a, read_b) = (read(a)?, read(b)?);
        let diff = Diff::new(&read_a, &read_b, by);
        let mut out = anstream::stdout().lock();
        if self.json {
            let document = Document {
                equal: diff.is_equal(),
                labels: [&a.label, &b.label],
                trampolines: [&a.trampoline, &b.trampoline],
                diff: &diff,
            };
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
        } else {
            let [a, b] = [(a, &read_a), (b, &read_b)].map(|(image, reading)| view::diff::Side {
                label: image.label.clone(),
                reading,
            });
            write!(out, "{}", view::diff::images(&a, &b, &diff, by))?;
        }
        Ok(diff.is_equal())
    }
}
