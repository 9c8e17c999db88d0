// SPDX-License-Identifier: GPL-2.0

//! Trampolines as text, for a terminal so many columns wide.
//!
//! The texts have colours in them: whoever prints them takes these out where they are not wanted
//! (`anstream`).

use anstyle::{AnsiColor, Style};

use crate::reading::Phase;

pub mod diff;
pub mod header;
pub mod listing;
pub mod picture;

/// From this many columns on, a line of the listing has place for its note.
const WIDE: usize = 72;

pub const HEADING: Style = Style::new().bold();
pub const FAINT: Style = Style::new().dimmed();

/// A phase's colour, the same in all views.
pub fn colour(phase: Phase) -> Style {
    let colour = match phase {
        Phase::Frame | Phase::Epilogue => AnsiColor::Blue,
        Phase::SaveArguments => AnsiColor::Cyan,
        Phase::TakeImage | Phase::PutImage | Phase::ClearSession => AnsiColor::Magenta,
        Phase::EntryPrograms => AnsiColor::Green,
        Phase::Call => AnsiColor::Yellow,
        Phase::ReturnPrograms => AnsiColor::Red,
    };
    colour.on_default()
}

/// `text` in a style.
pub fn styled(style: Style, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("{style}{text}{style:#}")
}

/// Breaks `text` between its words into lines of so many columns. A longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A position in the frame: `rbp-0x28`.
pub fn from_rbp(at: i32) -> String {
    match at {
        0 => "rbp".into(),
        1.. => format!("rbp+{at:#04x}"),
        _ => format!("rbp-{:#04x}", at.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 4), ["incomprehensible"]);
        assert!(wrap("", 4).is_empty());
    }

    #[test]
    fn positions_have_a_sign() {
        assert_eq!(from_rbp(8), "rbp+0x08");
        assert_eq!(from_rbp(-0x128), "rbp-0x128");
    }
}
