// SPDX-License-Identifier: GPL-2.0

//! Two images, or two dumps, with what differs.

use anstyle::{AnsiColor, Style};

use super::{colour, styled, FAINT, HEADING};
use crate::diff::{By, Change, Diff, DumpDiff, PhaseChange};
use crate::reading::{Line, Phase, Reading};

/// Instructions around a difference that are shown.
const CONTEXT: usize = 3;

const ONLY_A: Style = AnsiColor::Red.on_default();
const ONLY_B: Style = AnsiColor::Green.on_default();

/// What an image is compared as.
pub struct Side<'a> {
    pub label: String,
    pub reading: &'a Reading,
}

impl Side<'_> {
    fn bytes(&self) -> usize {
        self.reading.lines.iter().map(|line| line.bytes.len()).sum()
    }
}

/// One line that says whether they differ, and the difference.
pub fn images(a: &Side<'_>, b: &Side<'_>, diff: &Diff, by: By) -> String {
    let bytes = by == By::Bytes;
    let mut text = format!(
        "{} {}, {} bytes\n{} {}, {} bytes\n\n",
        styled(ONLY_A, "-"),
        a.label,
        a.bytes(),
        styled(ONLY_B, "+"),
        b.label,
        b.bytes()
    );
    if diff.is_equal() {
        let instructions = a.reading.lines.len();
        text.push_str(&format!("The same: {instructions} instructions.\n"));
        return text;
    }
    for change in &diff.phases {
        text.push_str(&phase(change));
    }
    let mut heading = None;
    for (nr, run) in diff.runs.iter().enumerate() {
        if run.equal {
            let lines = a.reading.lines.get(run.a.clone()).unwrap_or_default();
            let before = if nr == 0 { 0 } else { CONTEXT };
            let after = if nr + 1 == diff.runs.len() {
                0
            } else {
                CONTEXT
            };
            same(&mut text, &mut heading, lines, [before, after], bytes);
            continue;
        }
        let only = [
            (ONLY_A, '-', a.reading, &run.a),
            (ONLY_B, '+', b.reading, &run.b),
        ];
        let sides = only.map(|(style, sign, reading, range)| {
            let lines = reading.lines.get(range.clone()).unwrap_or_default();
            lines
                .iter()
                .map(move |line| (line.phase, sign, style, line))
        });
        // Phase by phase, of each what is gone and then what is new.
        let mut rows: Vec<_> = sides.into_iter().flatten().collect();
        rows.sort_by_key(|(phase, ..)| *phase);
        for (_, sign, style, line) in rows {
            row(&mut text, &mut heading, (sign, style), line, bytes);
        }
    }
    text
}

/// Equal instructions, those far from a difference folded.
fn same(
    text: &mut String,
    heading: &mut Option<Phase>,
    lines: &[Line],
    [before, after]: [usize; 2],
    bytes: bool,
) {
    let folded = lines.len().saturating_sub(before + after);
    let (from, to) = if folded > 1 {
        (before, before + folded)
    } else {
        (0, 0)
    };
    for (nr, line) in lines.iter().enumerate() {
        if nr == from && from != to {
            text.push_str(&styled(FAINT, &format!("        … {folded} the same\n")));
        }
        if !(from..to).contains(&nr) {
            row(text, heading, (' ', Style::new()), line, bytes);
        }
    }
}

fn row(
    text: &mut String,
    heading: &mut Option<Phase>,
    (sign, style): (char, Style),
    line: &Line,
    bytes: bool,
) {
    if *heading != Some(line.phase) {
        *heading = Some(line.phase);
        let name = styled(colour(line.phase).bold(), line.phase.name());
        text.push_str(&format!("\n{name}\n"));
    }
    let code = if bytes {
        format!("{:<20}  ", hex::encode(&line.bytes))
    } else {
        String::new()
    };
    let row = format!("{sign} {:>4x}  {code}{}", line.offset, line.text);
    text.push_str(&format!(
        "{}\n",
        if sign == ' ' {
            row
        } else {
            styled(style, &row)
        }
    ));
}

fn phase(change: &PhaseChange) -> String {
    let [a, b] = change.bytes;
    let name = change.phase.name();
    let bytes = if a == b {
        format!("{a} bytes")
    } else {
        format!("{a} -> {b} bytes")
    };
    format!(
        "  {name:<16} -{} +{} instructions, {bytes}\n",
        change.only_a, change.only_b
    )
}

/// A line an image, those that changed first; what changed in them below.
pub fn dumps(labels: [&str; 2], diff: &DumpDiff<'_>, all: bool) -> String {
    let [a, b] = labels;
    let mut text = format!(
        "{} {a}\n{} {b}\n\n",
        styled(ONLY_A, "-"),
        styled(ONLY_B, "+")
    );
    let equal = diff
        .changes
        .iter()
        .filter(|change| change.is_equal())
        .count();
    for change in &diff.changes {
        if !change.is_equal() || all {
            text.push_str(&image(change));
        }
    }
    let changed = diff.changes.len() - equal;
    text.push_str(&format!(
        "{}\n",
        styled(HEADING, &format!("{equal} the same, {changed} not"))
    ));
    text
}

fn image(change: &Change<'_>) -> String {
    let name = change.name;
    let mut text = match change.bytes {
        [Some(a), Some(b)] if change.is_equal() => format!("  {name}: the same, {}\n", size(a, b)),
        [Some(a), Some(b)] => format!("{} {name}: {}\n", styled(HEADING, "!"), size(a, b)),
        [Some(a), None] => format!("{}\n", styled(ONLY_A, &format!("- {name}: {a} bytes"))),
        [None, b] => format!(
            "{}\n",
            styled(ONLY_B, &format!("+ {name}: {} bytes", b.unwrap_or(0)))
        ),
    };
    for changed in change.phases.iter().flatten() {
        text.push_str(&format!("  {}", phase(changed)));
    }
    if let Some(why) = &change.unreadable {
        text.push_str(&format!("    {why}\n"));
    }
    text
}

fn size(a: usize, b: usize) -> String {
    if a == b {
        format!("{a} bytes")
    } else {
        format!("{a} -> {b} bytes")
    }
}
