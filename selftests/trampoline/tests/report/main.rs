// SPDX-License-Identifier: GPL-2.0

//! The page of images of all kinds is whole, loads nothing, and keeps what is in it apart from
//! what it is made of.
//!
//! It is written to `report.html` in `REPORT_PAGES`, or in cargo's directory for tests, to be
//! looked at; and to `driven.html` with a script that uses it, for `make report-test`.

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
mod fixture;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use scraper::{ElementRef, Html, Selector};
use serde_json::Value;
use trampoline::report::Report;

fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(fixture::report)
}

fn page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        let page = report().html();
        let drive = concat!("<script>", include_str!("drive.js"), "</script></body>");
        save("report.html", &page);
        save("driven.html", &page.replace("</body>", drive));
        page
    })
}

fn save(name: &str, page: &str) {
    let dir = std::env::var_os("REPORT_PAGES");
    let dir = dir.unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    std::fs::write(Path::new(&dir).join(name), page).unwrap();
}

fn all<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

/// The images' data, by what they trace.
fn images(html: &Html) -> Vec<(String, Value)> {
    let images = all(html, "details.image");
    let images = images.iter().map(|image| {
        let one = |selector: &str| {
            let found = image.select(&Selector::parse(selector).unwrap()).next();
            found.unwrap().text().collect::<String>()
        };
        (one("h3"), serde_json::from_str(&one("script")).unwrap())
    });
    images.collect()
}

/// The instructions of one side. The right one may be that on the left once more: 1.
fn insns(image: &Value, side: usize) -> Vec<&Value> {
    let rows = image["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        if row[side + 1] == 1 {
            &row[1]
        } else {
            &row[side + 1]
        }
    })
    .filter(|insn| !insn.is_null())
    .collect()
}

#[test]
fn well_formed() {
    let html = Html::parse_document(page());
    assert!(html.errors.is_empty(), "{:?}", html.errors);
    let mut ids = BTreeSet::new();
    for element in all(&html, "[id]") {
        let id = element.attr("id").unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        assert!(!id.contains(char::is_whitespace) && !id.is_empty());
    }
    for link in all(&html, "[href], [for], [aria-labelledby]") {
        let names = ["href", "for", "aria-labelledby"];
        let id = names.iter().find_map(|name| link.attr(name)).unwrap();
        assert!(ids.contains(id.trim_start_matches('#')), "{id} is nowhere");
    }
}

#[test]
fn loads_nothing() {
    let html = Html::parse_document(page());
    for element in all(&html, "*") {
        for (name, value) in element.value().attrs() {
            let local = name != "href" || value.starts_with('#');
            let loads = ["src", "srcset", "action", "background", "poster", "data"];
            assert!(local && !loads.contains(&name), "{name}={value}");
        }
    }
    assert!(all(&html, "link, iframe, object, embed, base").is_empty());
    for style in all(&html, "style") {
        let text = style.text().collect::<String>();
        assert!(!text.contains("url(") && !text.contains("@import"));
    }
    let policy = all(&html, "meta[http-equiv=Content-Security-Policy]");
    let policy = policy[0].attr("content").unwrap();
    assert!(policy.starts_with("default-src 'none'"));
}

#[test]
fn names_stay_names() {
    let html = Html::parse_document(page());
    let images = images(&html);
    // An element of the page for each image, and those of the page itself.
    assert_eq!(all(&html, "script").len(), images.len() + 2);
    assert!(all(&html, "b").is_empty());
    let evil = |value: &Value| value.to_string().contains(fixture::EVIL);
    assert!(images.iter().any(|(_, image)| evil(image)));
    let programs = all(&html, ".programs");
    let programs = programs.iter().flat_map(|element| element.text());
    assert!(programs
        .into_iter()
        .any(|text| text.contains(fixture::EVIL)));
}

#[test]
fn every_image_is_there() {
    let html = Html::parse_document(page());
    let images = images(&html);
    for side in &report().dumps {
        for trampoline in &side.dump.trampolines {
            let target = trampoline.target.as_ref();
            let name = target.map_or(&trampoline.symbol, |target| &target.name);
            let code = hex::encode(&trampoline.code);
            let found = images.iter().any(|(shown, image)| {
                let sides = image["sides"].as_array().unwrap();
                let nr = sides.iter().position(|one| one["label"] == *side.label);
                shown == name
                    && nr.is_some_and(|nr| {
                        let bytes = insns(image, nr);
                        let bytes = bytes.iter().map(|insn| insn["b"].as_str().unwrap());
                        bytes.collect::<String>() == code || sides[nr]["unreadable"].is_string()
                    })
            });
            assert!(found, "{name} of {}", side.label);
        }
    }
    for kind in ["fentry", "fexit", "fmod_ret", "fsession", "struct_ops"] {
        let kinds = all(&html, ".kind");
        let mut kinds = kinds.iter().flat_map(|element| element.text());
        assert!(kinds.any(|text| text == kind), "{kind}");
    }
}

#[test]
fn what_is_linked_exists() {
    let html = Html::parse_document(page());
    let mut cookies = 0;
    for (name, image) in images(&html) {
        let sides = image["sides"].as_array().unwrap();
        for (nr, side) in sides.iter().enumerate() {
            let frame = if image["one_frame"] == true {
                &sides[0]
            } else {
                side
            };
            let cells = frame["cells"].as_array().unwrap();
            let slots: BTreeSet<_> = cells
                .iter()
                .filter_map(|cell| cell["slot"].as_u64())
                .collect();
            for insn in insns(&image, nr) {
                assert!(insn["p"].as_u64().unwrap() < 9);
                if let Some(slot) = insn["s"].as_u64() {
                    assert!(slots.contains(&slot), "{name}: {insn}");
                }
            }
            // The cells follow each other without a gap: what is nested lies in the one above it.
            let size: u64 = cells
                .iter()
                .filter(|cell| cell["nested"] == false && cell["above"] == false)
                .map(|cell| cell["size"].as_u64().unwrap())
                .sum();
            assert_eq!(Some(size), side["frame_size"].as_u64(), "{name}");
            let what = cells.iter().filter_map(|cell| cell["what"].as_str());
            cookies += what
                .filter(|what| what.starts_with("session cookie"))
                .count();
        }
    }
    assert!(cookies > 10, "{cookies}");
}

#[test]
fn sides_are_compared() {
    let html = Html::parse_document(page());
    let verdict = |name: &str| {
        let of = |element: &ElementRef| element.text().next() == Some(name);
        let image = all(&html, "details.image");
        let image = image.iter().find(|image| {
            let title = image.select(&Selector::parse("h3").unwrap()).next();
            title.is_some_and(|title| of(&title))
        });
        let verdict = Selector::parse(".verdict").unwrap();
        let verdict = image.and_then(|image| image.select(&verdict).next());
        verdict.unwrap().text().collect::<String>()
    };
    assert_eq!(verdict("vfs_read"), "= identical");
    assert_eq!(verdict("vfs_write"), "~ other addresses only");
    assert_eq!(verdict("security_file_open"), "≠ different");
    let images = images(&html);
    let image = |name: &str| &images.iter().find(|(shown, _)| shown == name).unwrap().1;
    let signs = |name: &str| {
        let rows = image(name)["rows"].as_array().unwrap().iter();
        rows.map(|row| row[0].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(signs("vfs_read"), ["=".into()].into());
    assert_eq!(signs("vfs_write"), ["=".into(), "~".into()].into());
    assert!(signs("security_file_open").contains("≠"));
    // What a detached program leaves out.
    let skipped = |name: &str| {
        insns(image(name), 0)
            .iter()
            .filter(|insn| insn["x"] == true)
            .count()
    };
    assert!(skipped("do_exit") > 3);
    assert_eq!(skipped("vfs_read"), 0);
}

#[test]
fn what_is_missing_is_not_shown() {
    let report = Report {
        title: "Nothing".into(),
        ..Report::default()
    };
    let html = Html::parse_document(&report.html());
    assert!(html.errors.is_empty(), "{:?}", html.errors);
    assert!(all(&html, "main h2, .card, table, details").is_empty());
}
