// SPDX-License-Identifier: GPL-2.0

//! Holds the syzkaller descriptions against the C header: numbers, fields, offsets and
//! sizes, as assertions that a C compiler checks.

mod cc;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const TEXT: &str = include_str!("../../syzkaller/dev_rust_fsession.txt");
const CONST: &str = include_str!("../../syzkaller/dev_rust_fsession.txt.const");
const HEADER: &str = include_str!("../../../src/uapi/rust_fsession.h");

/// What begins like the interface's names, in capital letters or as a structure.
fn names<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(prefix)).collect()
}

fn constants() -> BTreeMap<&'static str, u64> {
    let lines = CONST.lines().filter_map(|line| line.split_once(" = "));
    let numbers = lines.filter(|(name, _)| *name != "arches");
    numbers
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

/// Name and fields with their types of each structure.
fn structures() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let mut all: Vec<(_, Vec<_>)> = Vec::new();
    let mut inside = false;
    for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_suffix(" {") {
            all.push((name, Vec::new()));
            inside = true;
        } else if line == "}" {
            inside = false;
        } else if inside {
            let (name, rest) = line.trim().split_once('\t').unwrap();
            let kind = rest.trim().trim_end_matches("(out)").trim();
            all.last_mut().unwrap().1.push((name, kind));
        }
    }
    all
}

/// The size of a type of syzkaller's language, as far as it is used here.
fn size(kind: &str) -> u64 {
    let (name, arguments) = match kind.split_once('[') {
        Some((name, rest)) => (name, rest.strip_suffix(']').unwrap()),
        None => (kind, ""),
    };
    match name {
        "int8" => 1,
        "int32" | "bool32" | "fd_bpf_prog" => 4,
        "int64" | "ptr64" => 8,
        // The underlying type comes last.
        "const" | "flags" | "len" => size(arguments.rsplit(", ").next().unwrap()),
        "array" => {
            let (of, count) = arguments.split_once(", ").unwrap();
            let count = count.parse().unwrap_or_else(|_| constants()[count]);
            size(of) * count
        }
        other => panic!("what is {other}?"),
    }
}

fn assertions() -> String {
    let mut c = String::from("#include <stddef.h>\n#include <fcntl.h>\n#include <sys/syscall.h>\n");
    c += "#include \"rust_fsession.h\"\n";
    let mut assert = |what: &str, value: u64| {
        let _ = writeln!(
            c,
            "_Static_assert(({what}) == (__typeof__({what})){value}ul, \"{what}\");"
        );
    };
    for (name, value) in constants() {
        assert(name, value);
    }
    for (name, fields) in structures() {
        let mut at = 0;
        for (field, kind) in fields {
            assert(&format!("offsetof(struct {name}, {field})"), at);
            assert(
                &format!("sizeof(((struct {name} *)0)->{field})"),
                size(kind),
            );
            at += size(kind);
        }
        assert(&format!("sizeof(struct {name})"), at);
    }
    c
}

#[test]
fn descriptions_fit_the_header() {
    cc::compile(&assertions());
}

#[test]
fn nothing_is_missing() {
    let known = constants();
    for name in names(TEXT, "RUST_FSESSION_") {
        assert!(known.contains_key(name), "{name} has no value");
    }
    // What user space gives; the rest is what it gets.
    let got = ["MAX_COOKIES", "REFERENCE_"];
    for name in names(HEADER, "RUST_FSESSION_") {
        let got = got
            .iter()
            .any(|part| name["RUST_FSESSION_".len()..].starts_with(part));
        assert!(
            got || name.ends_with('_') || known.contains_key(name),
            "{name} is not described"
        );
    }
    let described: BTreeSet<_> = structures().into_iter().map(|(name, _)| name).collect();
    for line in HEADER.lines() {
        if let Some(name) = line
            .strip_prefix("struct ")
            .and_then(|line| line.strip_suffix(" {"))
        {
            assert!(described.contains(name), "struct {name} is not described");
        }
    }
    assert_eq!(described.len(), 5);
}
