// SPDX-License-Identifier: GPL-2.0

//! How things look: lines, numbers, and colour only where it is wanted.

use std::fmt::Display;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
pub use trampoline::view::wrap;
use uapi::device::{abi, Info};

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
pub fn trampoline_header() -> String {
    dim(format!(
        "  {:<19} {:<18} {:>5}  {:<9}  {}",
        "FUNCTION", "IMAGE", "BYTES", "C BUILDER", "FLAGS"
    ))
}

/// A line of what a descriptor of the device is.
pub fn trampoline(info: &Info) -> String {
    if info.nr_progs() == 0 {
        return format!("  {:<19} {}", info.target(), dim("nothing attached"));
    }
    let padded = |text| format!("{text:<9}");
    let reference = match info.reference {
        abi::REFERENCE_IDENTICAL => good(padded("identical")),
        abi::REFERENCE_DIFFERENT => bad(padded("DIFFERENT")),
        _ => bad(padded("not asked")),
    };
    format!(
        "  {:<19} {:#018x} {:>5}  {reference}  {}",
        info.target(),
        info.image_addr,
        info.code_size,
        info.flag_names()
    )
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

/// A number with a comma before every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        let texts = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }
}
