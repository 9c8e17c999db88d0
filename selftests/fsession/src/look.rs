// SPDX-License-Identifier: GPL-2.0

//! How things look: 80 columns, and colour only where it is wanted.

use std::fmt::Display;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use runner::device::{abi, Info};

pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

pub fn bold(text: impl Display) -> String {
    styled(Style::new().bold(), text)
}

pub fn dim(text: impl Display) -> String {
    styled(Style::new().dimmed(), text)
}

pub fn good(text: impl Display) -> String {
    styled(AnsiColor::Green.on_default().bold(), text)
}

pub fn bad(text: impl Display) -> String {
    styled(AnsiColor::Red.on_default().bold(), text)
}

/// The line over `trampoline()`'s.
pub fn trampoline_header() {
    let line = format!(
        "  {:<19} {:<18} {:>5}  {:<9}  {}",
        "FUNCTION", "IMAGE", "BYTES", "C BUILDER", "FLAGS"
    );
    anstream::println!("{}", dim(line));
}

pub fn trampoline(info: &Info) {
    if info.nr_progs() == 0 {
        anstream::println!("  {:<19} {}", info.target(), dim("nothing attached"));
        return;
    }
    let padded = |text| format!("{text:<9}");
    let reference = match info.reference {
        abi::REFERENCE_IDENTICAL => good(padded("identical")),
        abi::REFERENCE_DIFFERENT => bad(padded("DIFFERENT")),
        _ => bad(padded("not asked")),
    };
    anstream::println!(
        "  {:<19} {:#018x} {:>5}  {reference}  {}",
        info.target(),
        info.image_addr,
        info.code_size,
        info.flag_names()
    );
}

/// Three digits and a unit.
pub fn duration(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    match nanos {
        ..1e3 => format!("{nanos} ns"),
        ..1e6 => format!("{:.3} us", nanos / 1e3),
        ..1e9 => format!("{:.3} ms", nanos / 1e6),
        _ => format!("{:.3} s", nanos / 1e9),
    }
}
