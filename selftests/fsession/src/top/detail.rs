// SPDX-License-Identifier: GPL-2.0

//! What is seen of a program that is opened.

use super::rates::Row;
use crate::look;

/// Lines of `width` columns.
pub fn lines(row: &Row, width: usize) -> Vec<String> {
    let mut text = vec![
        String::new(),
        format!("program  {} {}", row.id, row.program),
        format!("kind     {}", row.kind),
        format!("target   {}", row.target),
    ];
    if let Some(trampoline) = &row.trampoline {
        text.push(format!("image    {trampoline}"));
    }
    text.push(String::new());
    text.extend(trampoline(row, width));
    text
}

/// The trampoline itself, as `fsession show` has it.
fn trampoline(row: &Row, width: usize) -> Vec<String> {
    let text = format!("fsession show {}  draws the trampoline", row.target);
    look::wrap(&text, width)
}
