// SPDX-License-Identifier: GPL-2.0

//! `fsession list` for people: a table, or records where that is too narrow.

use std::io::{self, Write};

use anstyle::Style;
use comfy_table::{presets, CellAlignment, ColumnConstraint, ContentArrangement, Table};
use trampoline::document::{Owner, Trampoline};

use super::{roles, roles_of, target_name};

/// Columns of the screen that a table takes at least.
const WIDE: usize = 72;
/// Places of columns.
const BYTES: usize = 2;
const IMAGE: usize = 3;

pub fn print(out: &mut impl Write, trampolines: &[Trampoline], width: usize) -> io::Result<()> {
    if width < WIDE {
        return records(out, trampolines, width);
    }
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        // The last column has two blanks behind it.
        .set_width(u16::try_from(width + 1).unwrap_or(u16::MAX))
        .set_header(["TARGET", "PROGRAMS", "BYTES", "IMAGE", "OWNERS"]);
    for it in trampolines {
        table.add_row([
            target_name(it),
            programs(it).join("\n"),
            it.code.len().to_string(),
            format!("{:#018x}", it.addr.0),
            owners(it).join("\n"),
        ]);
    }
    for (nr, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        // Numbers are not broken.
        if matches!(nr, BYTES | IMAGE) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if nr == BYTES {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let dim = Style::new().dimmed();
    for (nr, line) in table.lines().enumerate() {
        let line = line.trim_end();
        match nr {
            0 => writeln!(out, "{dim}{line}{dim:#}")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

fn records(out: &mut impl Write, trampolines: &[Trampoline], width: usize) -> io::Result<()> {
    let bold = Style::new().bold();
    for (nr, it) in trampolines.iter().enumerate() {
        if nr > 0 {
            writeln!(out)?;
        }
        for (nr, part) in wrapped(&target_name(it), width).into_iter().enumerate() {
            let indent = if nr > 0 { "  " } else { "" };
            writeln!(out, "{indent}{bold}{part}{bold:#}")?;
        }
        let image = format!("{} bytes at {:#018x}", it.code.len(), it.addr.0);
        let lines = [programs(it), vec![image], owners(it)].concat();
        for part in lines.iter().flat_map(|line| wrapped(line, width)) {
            writeln!(out, "  {part}")?;
        }
    }
    Ok(())
}

/// Parts that fit behind an indent. Names have no better place to be broken.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let width = width.saturating_sub(2).max(8);
    chars.chunks(width).map(|it| it.iter().collect()).collect()
}

fn programs(trampoline: &Trampoline) -> Vec<String> {
    let roles = roles(trampoline);
    let programs = trampoline.programs.iter();
    programs
        .map(|program| {
            let mut words = roles_of(&roles, program);
            words.push(&program.name);
            words.join(" ")
        })
        .collect()
}

/// A process with several links is told once.
fn owners(trampoline: &Trampoline) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for owner in &trampoline.owners {
        let name = owner_name(owner);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn owner_name(owner: &Owner) -> String {
    match (owner.pid, owner.link) {
        (Some(pid), _) => format!("{}[{pid}]", owner.comm),
        (None, Some(link)) => format!("link {link}"),
        (None, None) => "nobody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(width: usize) -> String {
        let mut out = Vec::new();
        print(&mut out, &super::super::tests::examples(), width).unwrap();
        let text = anstream::adapter::strip_bytes(&out).into_vec();
        let text = String::from_utf8(text).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{line}");
        }
        text
    }

    #[test]
    fn it_fits_80_columns() {
        insta::assert_snapshot!(printed(80));
    }

    #[test]
    fn it_fits_40_columns() {
        insta::assert_snapshot!(printed(40));
    }

    #[test]
    fn it_takes_as_much_as_there_is() {
        insta::assert_snapshot!(printed(120));
    }
}
