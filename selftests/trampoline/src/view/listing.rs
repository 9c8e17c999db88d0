// SPDX-License-Identifier: GPL-2.0

//! The annotated disassembly.

use super::{colour, styled, wrap, FAINT, WIDE};
use crate::reading::{Line, Reading};

/// Bytes of an instruction in one line, as objdump has them.
const BYTES: usize = 7;

/// Columns of a note that is worth a place behind the instruction.
const NOTE: usize = 26;

/// Columns before the instruction: offset, bytes.
const BEFORE: usize = 6 + 2 * BYTES + 2;

pub fn listing(reading: &Reading, width: usize) -> String {
    let mut text = String::new();
    let mut before: Option<&Line> = None;
    for line in &reading.lines {
        if before.is_none_or(|before| before.phase != line.phase) {
            if before.is_some() {
                text.push('\n');
            }
            let name = line.phase.name();
            text.push_str(&format!("{}\n", styled(colour(line.phase).bold(), name)));
        } else if line.call.is_some() && before.is_some_and(|before| before.call != line.call) {
            text.push('\n');
        }
        text.push_str(&if width < WIDE {
            narrow(line, width)
        } else {
            wide(line, width)
        });
        before = Some(line);
    }
    text
}

fn wide(line: &Line, width: usize) -> String {
    let columns = width.saturating_sub(BEFORE + NOTE).clamp(32, 44);
    let mut chunks = line.bytes.chunks(BYTES).map(hex::encode);
    let instruction = shown(line);
    let mut notes = line
        .note
        .iter()
        .flat_map(|note| wrap(note, width.saturating_sub(BEFORE + columns + 1)));
    let place = columns.saturating_sub(line.text.chars().count());
    let mut text = format!(
        "{} {:<14}  {instruction}",
        styled(FAINT, &format!("{:>5x}", line.offset)),
        chunks.next().unwrap_or_default()
    );
    // A long instruction has its note below.
    if place > 0 || line.note.is_none() {
        if let Some(note) = notes.next() {
            text.push_str(&format!("{:place$} {}", "", styled(FAINT, &note)));
        }
    }
    text.push('\n');
    loop {
        let (bytes, note) = (chunks.next(), notes.next());
        if bytes.is_none() && note.is_none() {
            return text;
        }
        let bytes = bytes.unwrap_or_default();
        match note {
            Some(note) => text.push_str(&format!(
                "{:6}{bytes:<14}  {:columns$} {}\n",
                "",
                "",
                styled(FAINT, &note)
            )),
            None => text.push_str(&format!("{:6}{bytes}\n", "")),
        }
    }
}

/// The note has lines of its own, and what is called as well if its name is long.
fn narrow(line: &Line, width: usize) -> String {
    let offset = styled(FAINT, &format!("{:>5x}", line.offset));
    let mut text = format!("{offset} {}\n", shown(line));
    if line.text.chars().count() + 6 > width {
        let short = without_tag(&line.text);
        let lines = wrap(&short, width.saturating_sub(6).min(short.chars().count()));
        text = format!("{offset} {}\n", lines.join("\n        "));
    }
    for note in line
        .note
        .iter()
        .flat_map(|note| wrap(note, width.saturating_sub(10)))
    {
        text.push_str(&format!(
            "        {}\n",
            styled(FAINT, &format!("; {note}"))
        ));
    }
    text
}

/// A program by its name alone.
fn without_tag(text: &str) -> String {
    let tagged = text
        .split_once("bpf_prog_")
        .filter(|(before, _)| !before.ends_with('_'));
    match tagged.and_then(|(before, rest)| Some((before, rest.split_once('_')?.1))) {
        Some((before, name)) => format!("{before}{name}"),
        None => text.to_owned(),
    }
}

fn shown(line: &Line) -> String {
    if line.skipped {
        styled(FAINT.strikethrough(), &line.text)
    } else {
        line.text.clone()
    }
}
