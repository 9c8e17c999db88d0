// SPDX-License-Identifier: GPL-2.0

//! Every view, of images that kernels have built: a program of each kind (`bpf/kinds.bpf.c`) by C
//! and by Rust on 7.2, and what C builds on 6.12, which has no sessions.
//!
//! `dumps/` has what `make report` has left in `build/`. A view that changes on purpose:
//! `INSTA_UPDATE=always cargo test -p trampoline --test views`, then read the difference.

use insta::assert_snapshot;
use trampoline::diff::{compare_dumps, By, Diff};
use trampoline::document::Dump;
use trampoline::frame_map::FrameMap;
use trampoline::reading::Reading;
use trampoline::view;

const C: &str = include_str!("../dumps/c-7.2.json");
const RUST: &str = include_str!("../dumps/rust-7.2.json");
const OLD: &str = include_str!("../dumps/c-6.12.json");

/// A text as a file has it.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn show(dump: &Dump, what: &str, width: usize) -> String {
    let trampoline = dump.find(what).unwrap();
    let reading = Reading::new(trampoline).unwrap();
    let parts = [
        view::header::header(trampoline, &reading, width),
        view::picture::picture(&reading, width),
        view::listing::listing(&reading, width),
    ];
    plain(&parts.join("\n"))
}

#[test]
fn show_c() {
    let dump = Dump::parse(C).unwrap();
    assert_snapshot!("show_fentry", show(&dump, "kinds_fentry", 80));
    assert_snapshot!("show_fexit", show(&dump, "kinds_fexit", 80));
    assert_snapshot!("show_both", show(&dump, "kinds_after", 80));
    assert_snapshot!("show_session", show(&dump, "kinds_session", 80));
    assert_snapshot!("show_cookie", show(&dump, "kinds_cookie", 80));
    assert_snapshot!("show_two_cookies", show(&dump, "kinds_second", 80));
    assert_snapshot!("show_fmod_ret", show(&dump, "kinds_fmod_ret", 80));
    assert_snapshot!("show_on_stack", show(&dump, "kinds_on_stack", 80));
}

#[test]
fn show_widths() {
    let dump = Dump::parse(C).unwrap();
    for width in [40, 120] {
        let text = show(&dump, "kinds_cookie", width);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?}\n{text}");
        assert_snapshot!(format!("show_cookie_{width}"), text);
    }
}

/// Each image is read, has the programs that the dump tells, and every instruction of it that
/// accesses the frame accesses a slot.
#[test]
fn all_are_read() {
    for dump in [C, RUST, OLD].map(|text| Dump::parse(text).unwrap()) {
        for trampoline in &dump.trampolines {
            let reading = Reading::new(trampoline).unwrap();
            let programs = reading.programs();
            assert_eq!(
                programs.len(),
                trampoline.programs.len(),
                "{}",
                trampoline.symbol
            );
            for line in &reading.lines {
                let slot = line.slot.map(|at| reading.frame.slot(at));
                assert!(slot.is_none_or(|slot| slot.is_some()), "{line:?}");
            }
        }
    }
}

#[test]
fn show_old() {
    let dump = Dump::parse(OLD).unwrap();
    let all = dump
        .trampolines
        .iter()
        .map(|trampoline| show(&dump, &trampoline.addr.to_string(), 80));
    assert_snapshot!(all.collect::<Vec<_>>().join("\n"));
}

#[test]
fn frame_map() {
    let dump = Dump::parse(C).unwrap();
    let trampoline = dump.find("kinds_cookie").unwrap();
    let reading = Reading::new(trampoline).unwrap();
    let map = FrameMap::new(&dump.host, trampoline, &reading);
    assert_snapshot!(serde_json::to_string_pretty(&map).unwrap());
}

#[test]
fn diff_images() {
    let dump = Dump::parse(C).unwrap();
    let [a, b] = ["kinds_session", "kinds_cookie"].map(|what| {
        let reading = Reading::new(dump.find(what).unwrap()).unwrap();
        (what, reading)
    });
    let diff = Diff::new(&a.1, &b.1, By::Meaning);
    let side = |(label, reading)| view::diff::Side {
        label: String::from(label),
        reading,
    };
    let text = view::diff::images(&side((a.0, &a.1)), &side((b.0, &b.1)), &diff, By::Meaning);
    assert_snapshot!(plain(&text));
}

/// By meaning C's images and Rust's are the same; their bytes have other addresses in them.
#[test]
fn diff_builders() {
    let (c, rust) = (Dump::parse(C).unwrap(), Dump::parse(RUST).unwrap());
    let diff = compare_dumps(&c, &rust, By::Meaning);
    assert!(diff.is_equal());
    assert_snapshot!(
        "diff_dumps",
        plain(&view::diff::dumps(["C", "Rust"], &diff, true))
    );
    assert!(!compare_dumps(&c, &rust, By::Bytes).is_equal());
}

#[test]
fn diff_kernels() {
    let (old, new) = (Dump::parse(OLD).unwrap(), Dump::parse(C).unwrap());
    let diff = compare_dumps(&old, &new, By::Meaning);
    assert_snapshot!(
        "diff_kernels",
        plain(&view::diff::dumps(["6.12", "7.2"], &diff, false))
    );
}

#[test]
fn other_documents_are_refused() {
    let err = |text: &str| Dump::parse(text).unwrap_err();
    assert_eq!(
        err(&C.replacen("\"version\": 1", "\"version\": 7", 1)),
        "this dump has version 7, and version 1 can be read"
    );
    assert!(err("{}").starts_with("this is no dump: "));
    assert!(err(&C.replacen("fsession-dump", "x", 1)).starts_with("this is no dump"));
    let broken = C.replacen("\"trampolines\"", "\"something\"", 1);
    assert!(err(&broken).starts_with("this dump is broken: "));
}
