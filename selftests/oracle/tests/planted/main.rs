// SPDX-License-Identifier: GPL-2.0

//! Faults that the oracle must find: what a builder may get wrong, planted one at a time into
//! images that are right, as a change of the code, of the request or of the records.

mod code;
mod edit;
mod records;
mod request;
mod subjects;

use builder::Quirks;
use edit::Code;
use oracle::case::Case;
use oracle::contract::Rule;
use oracle::exam::{Examiner, Report};
use oracle::image::Image;
use oracle::rust;
use oracle::world::{Addresses, Room};
use std::collections::BTreeSet;
use subjects::Subject;

const ROOM: Room = Room {
    high: false,
    offset: 0,
};

/// Somebody who plants faults, and keeps the score.
struct Gardener {
    examiner: Examiner,
    at: Addresses,
    names: BTreeSet<&'static str>,
    missed: Vec<String>,
}

impl Gardener {
    fn new() -> Self {
        let examiner = Examiner::new().unwrap();
        let at = examiner.addresses(ROOM);
        Self {
            examiner,
            at,
            names: BTreeSet::new(),
            missed: Vec::new(),
        }
    }

    fn good(&self, subject: Subject) -> (Case, Image) {
        let case = subject.case();
        let image = rust::build(&case, &self.at).unwrap();
        (case, image)
    }

    fn examine(&mut self, case: &Case, image: &Image) -> Report {
        self.examiner.examine(case, image, &self.at, 0)
    }

    fn plant(&mut self, name: &'static str, subject: Subject, rule: Rule, image: &Image) {
        assert!(self.names.insert(name), "two faults are called '{name}'");
        let report = self.examine(&subject.case(), image);
        if !report.rules().contains(&rule) {
            let found = report.violations.first().map(ToString::to_string);
            self.missed
                .push(format!("{name}: {rule:?} holds, found {found:?}"));
        }
        // Whatever it has done, it has not done it to the examiner.
        let (case, good) = self.good(subject);
        assert!(self.examine(&case, &good).passed(), "{name} stays");
    }
}

#[test]
fn faults_are_found() {
    let mut gardener = Gardener::new();
    for &(name, subject, rule, change) in code::all() {
        let (_, good) = gardener.good(subject);
        let mut bad = good.clone();
        change(&mut Code::new(&mut bad.code, gardener.at.image));
        assert_ne!(bad, good, "{name} changes nothing");
        gardener.plant(name, subject, rule, &bad);
    }
    for &(name, subject, rule, change) in records::RECORDS {
        let (_, good) = gardener.good(subject);
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good, "{name} changes nothing");
        gardener.plant(name, subject, rule, &bad);
    }
    for &(name, subject, rule, change) in request::ASKED {
        let (case, good) = gardener.good(subject);
        let mut asked = rust::ask(&case, &gardener.at, Quirks::C).unwrap();
        change(&mut asked);
        let bad = asked.build(&gardener.at).unwrap();
        assert_ne!(bad, good, "{name} changes nothing");
        gardener.plant(name, subject, rule, &bad);
    }

    let planted = gardener.names.len();
    let found = planted - gardener.missed.len();
    println!("rejected {found} of {planted} planted");
    assert!(planted >= 30);
    assert!(gardener.missed.is_empty(), "{:#?}", gardener.missed);
}

/// Where nothing is planted nothing is found, and every instruction has been run.
#[test]
fn faultless_images_pass() {
    let mut gardener = Gardener::new();
    for subject in Subject::ALL {
        let (case, mut image) = gardener.good(subject);
        let exam = oracle::behaviour::exam(&case, 0);
        let exam: Vec<_> = exam
            .into_iter()
            .map(|behaviour| oracle::behaviour::Behaviour {
                stepped: true,
                ..behaviour
            })
            .collect();
        let report = gardener
            .examiner
            .examine_in(&case, &image, &gardener.at, &exam);
        assert!(report.passed(), "{subject:?}: {:?}", report.violations);

        let code = Code::new(&mut image.code, gardener.at.image);
        for at in 0..code.len() {
            let run = report.run.contains(&(code.offset(at) as u64));
            let meant = code.text(at) != "int3" && code.offset(at) as u64 >= case.entry_offset();
            assert!(run || !meant, "{subject:?}: {} is never run", code.text(at));
        }
    }
}

/// Instructions that nobody misses, and why.
const REDUNDANT: &[(Subject, &str, &str)] = &[
    // The first session stores a word of its own before any program looks.
    (Subject::Sessions, "mov eax,2", "overwritten"),
    (Subject::Sessions, "mov [rbp-20h],rax", "overwritten"),
    (
        Subject::Sessions,
        "mov rax,8000000000000002h",
        "overwritten",
    ),
    (Subject::Sessions, "mov [rbp-20h],rax", "overwritten"),
    (Subject::LargeFrame, "mov eax,0Ch", "overwritten"),
    (Subject::LargeFrame, "mov [rbp-70h],rax", "overwritten"),
    (
        Subject::LargeFrame,
        "mov rax,800000000000000Ch",
        "overwritten",
    ),
    (Subject::LargeFrame, "mov [rbp-70h],rax", "overwritten"),
    (Subject::Sessions, "xor eax,eax", "it is 0 already"),
    (Subject::Sessions, "xor eax,eax", "it is 0 already"),
    (Subject::LargeFrame, "xor eax,eax", "it is 0 already"),
    // It does so for the program, which looks at 8 bytes.
    (
        Subject::HalfWord,
        "mov dword ptr [rbp-64h],0",
        "the function looks at 4 bytes",
    ),
];

/// Every instruction is missed when it is taken away, but for those that do nothing.
#[test]
fn missing_instructions_are_missed() {
    let mut gardener = Gardener::new();
    let (mut found, mut redundant) = (0, Vec::new());
    for subject in Subject::ALL {
        let (case, good) = gardener.good(subject);
        let len = Code::new(&mut good.code.clone(), gardener.at.image).len();
        for at in 0..len {
            let mut bad = good.clone();
            let mut code = Code::new(&mut bad.code, gardener.at.image);
            let text = code.text(at).to_owned();
            code.drop(at);
            if !gardener.examine(&case, &bad).passed() {
                found += 1;
            } else if !text.starts_with("nop") {
                redundant.push((subject, text));
            }
        }
    }
    let planted = found + redundant.len();
    println!("rejected {found} of {planted} images that lack an instruction");
    redundant.sort();
    let explained = REDUNDANT.iter();
    let explained = explained.map(|&(subject, text, _)| (subject, text.to_owned()));
    let mut explained: Vec<_> = explained.collect();
    explained.sort();
    assert_eq!(redundant, explained);
}
