// SPDX-License-Identifier: GPL-2.0

//! Mutations of correct images, which the oracle must reject. Each is one mistake that a builder
//! may make: a change of the code, of the request or of the records.

mod bases;
mod code;
mod edit;
mod records;
mod request;

use bases::Base;
use builder::Quirks;
use edit::Code;
use oracle::case::Case;
use oracle::checker::{Checker, Report};
use oracle::contract::Rule;
use oracle::image::Image;
use oracle::memory::{Addresses, Placement};
use oracle::rust;
use std::collections::BTreeSet;

const PLACEMENT: Placement = Placement {
    high: false,
    offset: 0,
};

/// Checks mutations and collects those that were not rejected.
struct Mutations {
    checker: Checker,
    at: Addresses,
    names: BTreeSet<&'static str>,
    missed: Vec<String>,
}

impl Mutations {
    fn new() -> Self {
        let checker = Checker::new().unwrap();
        let at = checker.addresses(PLACEMENT);
        Self {
            checker,
            at,
            names: BTreeSet::new(),
            missed: Vec::new(),
        }
    }

    fn good(&self, base: Base) -> (Case, Image) {
        let case = base.case();
        let image = rust::build(&case, &self.at).unwrap();
        (case, image)
    }

    fn check(&mut self, case: &Case, image: &Image) -> Report {
        self.checker.check(case, image, &self.at, 0)
    }

    fn expect_rejected(&mut self, name: &'static str, base: Base, rule: Rule, image: &Image) {
        assert!(self.names.insert(name), "two mutations are called '{name}'");
        let report = self.check(&base.case(), image);
        if !report.rules().contains(&rule) {
            let found = report.violations.first().map(ToString::to_string);
            self.missed
                .push(format!("{name}: {rule:?} is kept, found {found:?}"));
        }
        // The mutation does not affect later runs.
        let (case, good) = self.good(base);
        assert!(
            self.check(&case, &good).passed(),
            "{name} affects the next run"
        );
    }
}

#[test]
fn mutations_are_rejected() {
    let mut mutations = Mutations::new();
    for &(name, base, rule, change) in code::all() {
        let (_, good) = mutations.good(base);
        let mut bad = good.clone();
        change(&mut Code::new(&mut bad.code, mutations.at.image));
        assert_ne!(bad, good, "{name} changes nothing");
        mutations.expect_rejected(name, base, rule, &bad);
    }
    for &(name, base, rule, change) in records::RECORDS {
        let (_, good) = mutations.good(base);
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good, "{name} changes nothing");
        mutations.expect_rejected(name, base, rule, &bad);
    }
    for &(name, base, rule, change) in request::REQUESTS {
        let (case, good) = mutations.good(base);
        let mut request = rust::request(&case, &mutations.at, Quirks::C).unwrap();
        change(&mut request);
        let bad = request.build(&mutations.at).unwrap();
        assert_ne!(bad, good, "{name} changes nothing");
        mutations.expect_rejected(name, base, rule, &bad);
    }

    let tried = mutations.names.len();
    let rejected = tried - mutations.missed.len();
    println!("rejected {rejected} of {tried} mutations");
    assert!(tried >= 30);
    assert!(mutations.missed.is_empty(), "{:#?}", mutations.missed);
}

/// The base images pass, and every instruction of them runs.
#[test]
fn base_images_pass() {
    let mut mutations = Mutations::new();
    for base in Base::ALL {
        let (case, mut image) = mutations.good(base);
        let scenarios = oracle::scenario::scenarios(&case, 0);
        let scenarios: Vec<_> = scenarios
            .into_iter()
            .map(|scenario| oracle::scenario::Scenario {
                stepped: true,
                ..scenario
            })
            .collect();
        let report = mutations
            .checker
            .check_scenarios(&case, &image, &mutations.at, &scenarios);
        assert!(report.passed(), "{base:?}: {:?}", report.violations);

        let code = Code::new(&mut image.code, mutations.at.image);
        for at in 0..code.len() {
            let run = report.run.contains(&(code.offset(at) as u64));
            let meant = code.text(at) != "int3" && code.offset(at) as u64 >= case.entry_offset();
            assert!(run || !meant, "{base:?}: {} is never run", code.text(at));
        }
    }
}

/// Instructions without an effect, and why.
const REDUNDANT: &[(Base, &str, &str)] = &[
    // The first session stores its own word before a program reads this one.
    (Base::Sessions, "mov eax,2", "overwritten"),
    (Base::Sessions, "mov [rbp-20h],rax", "overwritten"),
    (Base::Sessions, "mov rax,8000000000000002h", "overwritten"),
    (Base::Sessions, "mov [rbp-20h],rax", "overwritten"),
    (Base::LargeFrame, "mov eax,0Ch", "overwritten"),
    (Base::LargeFrame, "mov [rbp-70h],rax", "overwritten"),
    (Base::LargeFrame, "mov rax,800000000000000Ch", "overwritten"),
    (Base::LargeFrame, "mov [rbp-70h],rax", "overwritten"),
    (Base::Sessions, "xor eax,eax", "it is 0 already"),
    (Base::Sessions, "xor eax,eax", "it is 0 already"),
    (Base::LargeFrame, "xor eax,eax", "it is 0 already"),
    // Programs read 8 bytes.
    (
        Base::HalfWord,
        "mov dword ptr [rbp-64h],0",
        "the function reads 4 bytes",
    ),
];

/// Every instruction has an effect that the oracle checks, except for the redundant ones.
#[test]
fn removed_instructions_are_noticed() {
    let mut mutations = Mutations::new();
    let (mut found, mut redundant) = (0, Vec::new());
    for base in Base::ALL {
        let (case, good) = mutations.good(base);
        let len = Code::new(&mut good.code.clone(), mutations.at.image).len();
        for at in 0..len {
            let mut bad = good.clone();
            let mut code = Code::new(&mut bad.code, mutations.at.image);
            let text = code.text(at).to_owned();
            code.drop(at);
            if !mutations.check(&case, &bad).passed() {
                found += 1;
            } else if !text.starts_with("nop") {
                redundant.push((base, text));
            }
        }
    }
    let tried = found + redundant.len();
    println!("rejected {found} of {tried} images without one instruction");
    redundant.sort();
    let explained = REDUNDANT.iter();
    let explained = explained.map(|&(base, text, _)| (base, text.to_owned()));
    let mut explained: Vec<_> = explained.collect();
    explained.sort();
    assert_eq!(redundant, explained);
}
