// SPDX-License-Identifier: GPL-2.0

//! The tables of a document.

use crate::document::{Attached, Building, Document, Programs, Who};
use crate::table::{number, or_dash, ratio, Table};

/// A table, and what it says.
pub struct Section {
    pub title: &'static str,
    pub text: &'static str,
    pub table: Table,
}

/// How many programs the tables show; the document and the plots have more.
const SHOWN: [u32; 4] = [1, 4, 18, 36];

/// All that have a row.
pub fn all(document: &Document) -> Vec<Section> {
    let sections = [
        building(document),
        modes(document),
        args(document),
        pieces(document),
        calling(document),
        parts(document),
        attaching(document),
        multi(document),
        memory(document),
        inlining(document),
        time(document),
    ];
    sections
        .into_iter()
        .filter(|section| !section.table.is_empty())
        .collect()
}

fn name(programs: Programs, nr: u32) -> String {
    match nr {
        1 => programs.name().to_owned(),
        _ => format!("{nr} {}", programs.name()),
    }
}

/// What most tables are about: programs on a function with one argument.
fn on_one_argument(document: &Document) -> impl Iterator<Item = &Building> {
    (document.building.iter()).filter(|row| row.args == 1 && SHOWN.contains(&row.nr))
}

/// The table that a reader wants first.
pub fn building(document: &Document) -> Section {
    let mut table = Table::new(&["programs", "bytes", "C", "Rust", "ratio"]);
    for row in on_one_argument(document) {
        let cell = |who| {
            let cost = row.cost.get(&who);
            or_dash(cost.map(|cost| format!("{} + {}", number(cost.size), number(cost.build))))
        };
        table.row(vec![
            name(row.programs, row.nr),
            number(row.bytes.into()),
            cell(Who::C),
            cell(Who::Takeover),
            built_ratio(row, Who::Takeover),
        ]);
    }
    Section {
        title: "Building an image",
        text: "`arch_bpf_trampoline_size()` + `arch_prepare_bpf_trampoline()`, for \
               `bpf_fentry_test1()`: C before any hook was installed, Rust in `takeover`; the \
               ratio is that of the two sums.",
        table,
    }
}

fn built_ratio(row: &Building, who: Who) -> String {
    match (row.cost.get(&who), row.cost.get(&Who::C)) {
        (Some(cost), Some(c)) => ratio(cost.both(), c.both()),
        _ => "-".to_owned(),
    }
}

fn modes(document: &Document) -> Section {
    let mut table = Table::new(&[
        "programs", "C", "off", "shadow", "takeover", "off/C", "shadow/C",
    ]);
    for row in on_one_argument(document) {
        let cell = |who| or_dash(row.cost.get(&who).map(|cost| number(cost.both())));
        table.row(vec![
            name(row.programs, row.nr),
            cell(Who::C),
            cell(Who::Off),
            cell(Who::Shadow),
            cell(Who::Takeover),
            built_ratio(row, Who::Off),
            built_ratio(row, Who::Shadow),
        ]);
    }
    Section {
        title: "Building in each mode",
        text: "Both calls together. `off` is C behind hooks that pass its calls on, `shadow` is \
               both builders and the comparison.",
        table,
    }
}

fn args(document: &Document) -> Section {
    let mut table = Table::new(&["programs", "arguments", "bytes", "C", "Rust", "ratio"]);
    let rows = document.building.iter().filter(|row| row.nr == 1);
    let counts: Vec<_> = rows.clone().map(|row| (row.programs, row.args)).collect();
    let several = |programs| counts.iter().filter(|(of, _)| *of == programs).count() > 1;
    let mut rows: Vec<_> = rows.filter(|row| several(row.programs)).collect();
    rows.sort_by_key(|row| (row.programs, row.args));
    for row in rows {
        let cell = |who| or_dash(row.cost.get(&who).map(|cost| number(cost.both())));
        table.row(vec![
            row.programs.name().to_owned(),
            row.args.to_string(),
            number(row.bytes.into()),
            cell(Who::C),
            cell(Who::Takeover),
            built_ratio(row, Who::Takeover),
        ]);
    }
    Section {
        title: "Building by arguments",
        text: "Both calls together, on functions with so many arguments.",
        table,
    }
}

fn pieces(document: &Document) -> Section {
    let mut table = Table::new(&["programs", "copy", "buffer", "page", "place", "hook, off"]);
    for row in on_one_argument(document) {
        let page = row.cost.get(&Who::C).map(|cost| number(cost.page));
        table.row(vec![
            name(row.programs, row.nr),
            number(row.pieces.copy),
            number(row.pieces.scratch),
            or_dash(page),
            number(row.pieces.place),
            or_dash(row.hooks_off().map(number)),
        ]);
    }
    Section {
        title: "Pieces of building",
        text: "What a builder may be made of, each counted alone: `bpf_arch_text_copy()` of the \
               image; a buffer of its size, as C builds in, and an executable page, as C measures \
               in, each allocated and freed; the image's place, which the kernel allocates; and \
               what both hooks add while they are off, to all but the page.",
        table,
    }
}

fn calling(document: &Document) -> Section {
    let mut table = Table::new(&["programs", "image bytes", "C", "Rust"]);
    for row in &document.calling {
        let cell = |who| or_dash(row.cost.get(&who).map(|cost| number(*cost)));
        let name = match row.nr {
            1 => row.programs.clone(),
            nr => format!("{nr} {}", row.programs),
        };
        table.row(vec![
            name,
            or_dash(row.bytes.map(|bytes| number(bytes.into()))),
            cell(Who::C),
            cell(Who::Takeover),
        ]);
    }
    Section {
        title: "Calling a traced function",
        text: "One call of `bpf_fentry_test1()`, above the call of the same function untraced \
               (the first row). Every program only returns; those with a cookie write it at the \
               entry and read it at the return.",
        table,
    }
}

fn parts(document: &Document) -> Section {
    let head = [
        "programs",
        "enter",
        "program",
        "at return",
        "exit",
        "around",
        "image",
    ];
    let mut table = Table::new(&head);
    for row in &document.parts {
        let is_session = matches!(row.programs, Programs::Session | Programs::WithCookie);
        let mut calls = document.calling.iter();
        let call = calls.find(|call| call.nr == 1 && call.programs == row.programs.name());
        let call = call.and_then(|call| call.cost.get(&Who::C));
        let image = call.map(|call| number(call.saturating_sub(row.called())));
        table.row(vec![
            row.programs.name().to_owned(),
            number(row.enter),
            number(row.run),
            or_dash(is_session.then(|| number(row.run_return))),
            number(row.exit),
            format!("{} + {}", row.tramp_enter, row.tramp_exit),
            or_dash(image),
        ]);
    }
    Section {
        title: "Pieces of a call",
        text: "What an image calls, each counted alone, without call and return: the kernel's \
               enter and exit around each program, the program (a session has two halves), and \
               what is called around the function, which fentry does without. The image is what \
               remains of the cost of a call.",
        table,
    }
}

fn attaching(document: &Document) -> Section {
    let mut table = Table::new(&["programs", "by", "attach", "detach", "of C's", "waits, us"]);
    for row in &document.attaching {
        for (who, cost) in &row.cost {
            let of_c = row.cost.get(&Who::C).map(|c| ratio(cost.attach, c.attach));
            let name = match row.beside {
                0 => row.programs.name().to_owned(),
                beside => format!("{}, beside {beside}", row.programs.name()),
            };
            table.row(vec![
                name,
                who.name().to_owned(),
                number(cost.attach),
                number(cost.detach),
                or_dash(of_c),
                waits(cost),
            ]);
        }
    }
    Section {
        title: "Attaching and detaching",
        text: "What the task that makes the call runs, without what it waits for. `C`, `off`, \
               `shadow` and `takeover` are BPF links, `device` is the module's own, which \
               compares each image with C's.",
        table,
    }
}

/// In microseconds of the emulated clock, attaching and detaching.
fn waits(cost: &Attached) -> String {
    let us = |ticks: u64| number(ticks / 1000);
    format!("{} + {}", us(cost.attach_waits), us(cost.detach_waits))
}

fn multi(document: &Document) -> Section {
    let mut table = Table::new(&[
        "programs",
        "functions",
        "by",
        "attach, each",
        "detach, each",
    ]);
    for row in &document.multi {
        for (who, cost) in &row.cost {
            let each = |all: u64| number(all / u64::from(row.functions.max(1)));
            table.row(vec![
                row.programs.name().to_owned(),
                number(row.functions.into()),
                who.name().to_owned(),
                each(cost.attach),
                each(cost.detach),
            ]);
        }
    }
    Section {
        title: "One link on many functions",
        text: "What the task runs for each function.",
        table,
    }
}

fn memory(document: &Document) -> Section {
    let head = [
        "programs",
        "functions",
        "image, each",
        "memory, each",
        "identical",
    ];
    let mut table = Table::new(&head);
    for row in &document.multi {
        let each = |all: u64| number(all / u64::from(row.functions.max(1)));
        table.row(vec![
            row.programs.name().to_owned(),
            number(row.functions.into()),
            each(row.bytes),
            each(row.memory),
            number(row.identical),
        ]);
    }
    Section {
        title: "Memory of many trampolines",
        text: "Bytes of code that are charged; bytes of slab objects and of vmalloc that are in \
               use besides while the link is there; and how many of the images were compared in \
               shadow and found identical.",
        table,
    }
}

fn inlining(document: &Document) -> Section {
    let mut table = Table::new(&["kfunc", "inlined", "called"]);
    for row in &document.inlining {
        table.row(vec![
            row.kfunc.clone(),
            number(row.inlined),
            number(row.called),
        ]);
    }
    Section {
        title: "Session kfuncs",
        text: "One use in a program, inlined as in an fsession, and called as in a kprobe session.",
        table,
    }
}

fn time(document: &Document) -> Section {
    let mut table = Table::new(&["benchmark", "of untraced", "above it, of fentry's"]);
    let ticks = |name| {
        let row = document.time.iter().find(|row| row.name == name);
        row.map_or(0, |row| row.ticks)
    };
    let untraced = ticks("trig-kernel-count");
    let fentry = ticks("trig-fentry").saturating_sub(untraced);
    for row in &document.time {
        table.row(vec![
            row.name.clone(),
            ratio(row.ticks, untraced),
            ratio(row.ticks.saturating_sub(untraced), fentry),
        ]);
    }
    Section {
        title: "Time of a call",
        text: "On a real CPU, under KVM, as ratios in one run: this is time, not instructions. \
               `trig-kernel-count` is the call of the function that is not traced.",
        table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{tests::example, Time};

    #[test]
    fn every_table_has_rows_and_fits() {
        let sections = all(&example());
        assert_eq!(sections.len(), 10);
        for section in sections {
            for line in section.table.to_string().lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", section.title);
            }
        }
    }

    #[test]
    fn the_first_table_has_the_ratio_of_sums() {
        let text = building(&example()).table.to_string();
        assert!(
            text.contains("| 17,000 + 4,000 | 2,000 + 3,250 |  0.25 |"),
            "{text}"
        );
    }

    #[test]
    fn times_are_ratios() {
        let time = |name: &str, ticks| Time {
            name: name.to_owned(),
            ticks,
        };
        let document = Document {
            time: vec![
                time("trig-kernel-count", 10),
                time("trig-fentry", 30),
                time("trig-fsession", 70),
            ],
            ..Default::default()
        };
        let text = all(&document)[0].table.to_string();
        let row = text.lines().last().unwrap();
        assert!(row.contains("7.00") && row.contains("3.00"), "{row}");
    }

    #[test]
    fn nothing_counted_is_no_table() {
        assert!(all(&Document::default()).is_empty());
    }
}
