// SPDX-License-Identifier: GPL-2.0

//! The document for people: `doc/bench.md`.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::document::Document;
use crate::tables;

const HEAD: &str = "\
<!-- Written by `make bench`. -->

# What it costs

All figures are **instructions, not time**: QEMU counts them (`-icount`), the TSC of
the emulated CPU is their number, and the least of 25 runs is taken. Who is
compared ran in the same boot, and two boots gave the same figures. The machine has
one CPU. `make bench` counts anew and writes this file, its JSON and its plots.
";

/// Of one document, in the terminal.
pub fn text(document: &Document) -> String {
    let mut text = String::new();
    for section in tables::all(document) {
        write!(text, "{}\n\n{}\n", section.title, section.table).expect("it is a string");
    }
    text + &left_out(document)
}

fn left_out(document: &Document) -> String {
    let mut text = String::new();
    if document.time.is_empty() {
        text += "not here: ratios of time (trig-fentry, trig-fsession, ...): KVM\n";
    }
    for one in &document.not_here {
        writeln!(text, "not here: {}: {}", one.what, one.why).expect("it is a string");
    }
    text
}

/// Of all series. The plots are at these paths.
pub fn markdown(documents: &[Document], plots: &[(String, String)]) -> String {
    let mut text = HEAD.to_owned();
    for document in documents {
        write!(text, "\n## Linux {}\n", document.kernel).expect("it is a string");
        for section in tables::all(document) {
            let about = wrapped(section.text);
            write!(
                text,
                "\n### {}\n\n{about}\n{}",
                section.title, section.table
            )
            .expect("it is a string");
        }
        let left_out = left_out(document);
        if !left_out.is_empty() {
            write!(text, "\n```\n{left_out}```\n").expect("it is a string");
        }
    }
    if !plots.is_empty() {
        text += "\n## Plots\n";
    }
    for (title, path) in plots {
        write!(text, "\n![{title}]({path})\n").expect("it is a string");
    }
    text
}

/// Where README has the first table, which is written anew.
const BEGIN: &str = "<!-- make bench: begin -->\n";
const END: &str = "<!-- make bench: end -->\n";

/// README with the first table of this document.
///
/// # Errors
///
/// There is no place for it.
pub fn with_head(readme: &str, document: &Document) -> Result<String> {
    let (before, rest) = readme.split_once(BEGIN).context("no begin of the table")?;
    let (_, after) = rest.split_once(END).context("no end of the table")?;
    let table = tables::building(document).table;
    let release = &document.kernel;
    Ok(format!(
        "{before}{BEGIN}Linux {release}:\n\n{table}{END}{after}"
    ))
}

/// In lines of at most 80 columns.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > 80 {
            lines += &line;
            lines.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::tests::example;

    #[test]
    fn everything_is_in_the_document() {
        let plots = [("Building".to_owned(), "bench/building.svg".to_owned())];
        let text = markdown(&[example(), example()], &plots);
        for part in [
            "# What it costs",
            "## Linux 7.2.12",
            "not here: something: a reason",
            "![Building](bench/building.svg)",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 84),
            "{text}"
        );
    }

    #[test]
    fn the_head_is_replaced() {
        let readme = format!("before\n{BEGIN}old\n{END}after\n");
        let text = with_head(&readme, &example()).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("after\n"));
        assert!(text.contains("17,000 + 4,000") && !text.contains("old"));
        assert_eq!(with_head(&text, &example()).unwrap(), text);
        assert!(with_head("no place", &example()).is_err());
    }

    #[test]
    fn text_is_wrapped() {
        let text = wrapped(&"word ".repeat(40));
        assert!(text.lines().all(|line| line.len() <= 80));
        assert_eq!(text.lines().count(), 3);
    }
}
