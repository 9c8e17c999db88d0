// SPDX-License-Identifier: GPL-2.0

//! What is seen of a program that is opened.

use anyhow::Result;
use trampoline::reading::Reading;

use super::rates::Row;
use crate::cmd::show;
use crate::{kernel, look};

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

/// The trampoline itself, as `fsession show` has it, or why it cannot be had.
fn trampoline(row: &Row, width: usize) -> Vec<String> {
    let name = row.trampoline.as_deref().unwrap_or(&row.target);
    let text =
        shown(name, width).unwrap_or_else(|err| look::wrap(&format!("{err:#}"), width).join("\n"));
    // (The screen has styles of its own.)
    anstream::adapter::strip_str(&text)
        .to_string()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn shown(name: &str, width: usize) -> Result<String> {
    let dump = kernel::dump()?;
    let trampoline = dump.find(name)?;
    let reading = Reading::new(trampoline)?;
    Ok(show::text(trampoline, &reading, width))
}
