// SPDX-License-Identifier: GPL-2.0

//! The page around it all.

use maud::{html, Markup, PreEscaped, DOCTYPE};

use super::costs::Document;
use super::entries::entries;
use super::image::{Drawn, Verdict};
use super::results::{self, count, Verdict as Result};
use super::{json, Report, Side};
use crate::document::Host;
use crate::reading::Phase;

const STYLES: [&str; 3] = [
    include_str!("page.css"),
    include_str!("image.css"),
    include_str!("media.css"),
];

const SCRIPTS: [&str; 4] = [
    include_str!("draw.js"),
    include_str!("links.js"),
    include_str!("fold.js"),
    include_str!("page.js"),
];

/// Nothing is loaded from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// What the keys do.
const KEYS: [(&str, &str); 10] = [
    ("j, k", "next and previous image"),
    ("o, Enter", "unfold or fold the image"),
    ("/", "filter"),
    ("Escape", "leave the filter, let go of what is held"),
    ("Up, Down", "step through instructions, slots or phases"),
    ("Space", "hold what is highlighted, as a click does"),
    ("b", "bytes of the instructions"),
    ("d", "of two images, only what differs"),
    ("t", "dark and light"),
    ("?", "this help"),
];

pub fn page(report: &Report) -> Markup {
    let entries = entries(&report.dumps);
    let drawn: Vec<Drawn> = entries.iter().map(Drawn::new).collect();
    let style = STYLES.concat();
    let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
    let names = Phase::ALL.map(Phase::name);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.title) }
                style { (PreEscaped(style)) }
            }
            body {
                header.bar {
                    h1 { (report.title) }
                    label.filter {
                        span { "Filter" }
                        input id="filter" type="search" autocomplete="off" spellcheck="false"
                            placeholder="vfs_read kind:fexit is:different";
                        output id="found" for="filter" {}
                    }
                    div.buttons {
                        button type="button" id="unfold" { "Unfold all" }
                        button type="button" id="theme" title="Dark or light (t)" { "◐" span.hidden { "Dark or light" } }
                        button type="button" id="keys" title="Keys (?)" { "?" span.hidden { "Keys" } }
                    }
                }
                main {
                    noscript { p { "The images are drawn by a script, which this browser does not run." } }
                    (summary(report, &drawn))
                    (kernels(&report.dumps))
                    @if !report.runs.comparisons.is_empty() {
                        section aria-labelledby="compared" {
                            h2 id="compared" { "C and Rust compared" }
                            (results::comparisons(&report.runs.comparisons))
                        }
                    }
                    @if !report.runs.tests.is_empty() {
                        section aria-labelledby="tests" {
                            h2 id="tests" { "Tests" }
                            (results::tests(&report.runs.tests))
                        }
                    }
                    (costs(&report.costs))
                    @if !drawn.is_empty() {
                        section aria-labelledby="images" {
                            h2 id="images" { "Images" }
                            @for drawn in &drawn { (drawn.html()) }
                            p id="none" hidden { "No image is found." }
                        }
                    }
                }
                dialog id="help" aria-label="Keys" {
                    h2 { "Keys" }
                    dl { @for (key, what) in KEYS { dt { kbd { (key) } } dd { (what) } } }
                    p { "The filter takes words, all of which must be found: in targets, programs, kinds, kernels and tests. "
                        code { "target:" } ", " code { "program:" } ", " code { "kind:" } ", "
                        code { "kernel:" } ", " code { "test:" } " and " code { "is:" }
                        " (identical, moved, different, failed …) say where." }
                    form method="dialog" { button { "Close" } }
                }
                script type="application/json" id="phases" { (PreEscaped(json(&names))) }
                script { (PreEscaped(script)) }
            }
        }
    }
}

/// The most important numbers.
fn summary(report: &Report, drawn: &[Drawn]) -> Markup {
    let tests = |wanted: Result| {
        let tests = report.runs.tests.iter();
        tests
            .filter(|test| Result::of(&test.outcome) == wanted)
            .count() as u64
    };
    let compared = report.runs.comparisons.iter();
    let compared = compared.fold([0, 0, 0], |[all, same, other], row| {
        [
            all + row.compared,
            same + row.identical,
            other + row.different,
        ]
    });
    let images = |wanted: Verdict| drawn.iter().filter(|one| one.verdict == wanted).count() as u64;
    html! {
        section.summary aria-label="Summary" {
            @if !report.runs.tests.is_empty() {
                (card("tests", "tests passed", tests(Result::Passed), &[
                    ("failed", tests(Result::Failed), true),
                    ("skipped", tests(Result::Skipped), false),
                ]))
            }
            @if !report.runs.comparisons.is_empty() {
                @let [all, same, other] = compared;
                (card("compared", "images compared", all, &[
                    ("identical", same, false),
                    ("different", other, true),
                ]))
            }
            @if !drawn.is_empty() {
                @let alone = images(Verdict::Alone);
                (card("images", if drawn.len() == 1 { "image" } else { "images" }, drawn.len() as u64, &[
                    ("identical on both sides", images(Verdict::Identical), false),
                    ("with other addresses only", images(Verdict::Moved), false),
                    ("different", images(Verdict::Different), true),
                    ("on one side", alone, false),
                ]))
            }
        }
    }
}

/// A number with others below it: name, number, and whether there should be none.
fn card(section: &str, name: &str, number: u64, others: &[(&str, u64, bool)]) -> Markup {
    html! {
        a.card href={ "#" (section) } {
            strong { (count(number)) } " " (name)
            @for (name, number, bad) in others.iter().filter(|(_, number, bad)| *bad || *number != 0) {
                span class=(match (*bad, *number) { (true, 1..) => "failed", (true, 0) => "passed", _ => "" }) {
                    @if *bad { @if *number == 0 { "✓ " } @else { "✗ " } }
                    (count(*number)) " " (name)
                }
            }
        }
    }
}

/// Where the dumps are from.
fn kernels(sides: &[Side]) -> Markup {
    html! {
        @if !sides.is_empty() {
            section aria-labelledby="sides" {
                h2 id="sides" { "Kernels" }
                div.hosts {
                    @for side in sides {
                        @let host = &side.dump.host;
                        article.host {
                            h3 { (side.label) }
                            dl {
                                dt { "kernel" } dd { (host.release) " " span.faint { (host.build) } }
                                @if !host.cpu.is_empty() { dt { "CPU" } dd { (host.cpu) } }
                                dt { "module" } dd { (host.mode.as_deref().unwrap_or("not loaded"))
                                    @if host.mode.is_some() { span.faint { " (mode)" } } }
                                dt { "images" } dd { (side.dump.trampolines.len()) }
                            }
                            (mitigations(host))
                        }
                    }
                }
            }
        }
    }
}

/// What matters, and what does not concern this CPU folded.
fn mitigations(host: &Host) -> Markup {
    let (not, affected): (Vec<_>, Vec<_>) = host
        .mitigations
        .iter()
        .partition(|(_, what)| what.as_str() == "Not affected");
    html! {
        @if !affected.is_empty() {
            h4 { "Mitigations" }
            dl { @for (name, what) in &affected { dt { (name) } dd { (what) } } }
        }
        @if !not.is_empty() {
            details.faint {
                summary { "not affected by " (not.len()) @if !affected.is_empty() { " others" } }
                p { (not.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")) }
            }
        }
    }
}

fn costs(documents: &[Document]) -> Markup {
    html! {
        @if !documents.is_empty() {
            section aria-labelledby="costs" {
                h2 id="costs" { "Costs" }
                p.faint { "In instructions, not time." }
                @for document in documents {
                    h3 { "Linux " (document.kernel) }
                    div.plots { @for plot in document.plots() { (plot.svg()) } }
                }
            }
        }
    }
}
