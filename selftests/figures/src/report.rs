// SPDX-License-Identifier: GPL-2.0

//! The document for people: `doc/bench.md`.

use std::fmt::Write;

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
        if !document.not_here.is_empty() {
            write!(text, "\n```\n{}```\n", left_out(document)).expect("it is a string");
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
            "not here: ratios of time: KVM",
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
    fn text_is_wrapped() {
        let text = wrapped(&"word ".repeat(40));
        assert!(text.lines().all(|line| line.len() <= 80));
        assert_eq!(text.lines().count(), 3);
    }
}
