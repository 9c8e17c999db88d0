// SPDX-License-Identifier: GPL-2.0

//! What a side of a comparison is, as it is named on the command line.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use trampoline::document::{Dump, Hex, Host, Trampoline};
use trampoline::reading::Reading;

use crate::kernel;

/// One image, with what it is called.
pub struct Image {
    pub label: String,
    pub trampoline: Trampoline,
}

/// All images of a dump.
pub struct Whole {
    pub label: String,
    pub dump: Dump,
}

pub enum Side {
    Image(Image),
    Dump(Whole),
}

/// A file if there is one of that name, else something of the running kernel.
pub fn parse(what: &str) -> Result<Side> {
    if Path::new(what).is_file() {
        return file(what);
    }
    // A path may have a colon as well, so the last one counts.
    if let Some((path, function)) = what
        .rsplit_once(':')
        .filter(|(path, _)| Path::new(path).is_file())
    {
        let Side::Dump(whole) = file(path)? else {
            anyhow::bail!("{path} is no dump, there is no {function} in it");
        };
        let trampoline = whole
            .dump
            .find(function)
            .with_context(|| path.to_owned())?
            .clone();
        let label = format!("{function}, {}", whole.label);
        return Ok(Side::Image(Image { label, trampoline }));
    }
    let dump = kernel::dump()?;
    let trampoline = dump.find(what)?.clone();
    let label = format!("{what}, {}", host(&dump.host));
    Ok(Side::Image(Image { label, trampoline }))
}

/// A dump, or the bytes of an image.
fn file(path: &str) -> Result<Side> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let text = std::str::from_utf8(&bytes).ok();
    if let Some(text) = text.filter(|text| text.trim_start().starts_with('{')) {
        let dump = Dump::parse(text)
            .map_err(anyhow::Error::msg)
            .with_context(|| path.to_owned())?;
        let label = format!("{path}, {}", host(&dump.host));
        return Ok(Side::Dump(Whole { label, dump }));
    }
    let trampoline = raw(path, bytes);
    Reading::new(&trampoline).with_context(|| format!("{path} is neither a dump nor an image"))?;
    let label = path.to_owned();
    Ok(Side::Image(Image { label, trampoline }))
}

/// An image of which there are only bytes.
pub fn raw(name: &str, code: Vec<u8>) -> Trampoline {
    Trampoline::of_bytes(name, Hex(0xffff_ffff_c000_0000), code)
}

/// A kernel as a side of a comparison is labelled.
fn host(host: &Host) -> String {
    match host.mode.as_deref() {
        Some(mode @ ("shadow" | "takeover")) => format!("Linux {}, {mode}", host.release),
        _ => format!("Linux {}", host.release),
    }
}
