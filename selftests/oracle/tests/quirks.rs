// SPDX-License-Identifier: GPL-2.0

//! Quirks of the C builder break the contract, and the Rust builder's correct images keep it.

use builder::{Error, Quirks};
use oracle::case::{flags, Case};
use oracle::cases::{attach, blank, PLAIN};
use oracle::checker::{Checker, Report};
use oracle::contract::Rule;
use oracle::memory::Placement;
use oracle::rust;
use std::collections::BTreeSet;

const CALLED: u32 = flags::CALL_ORIG | flags::SKIP_FRAME;

/// A case with programs: entry, fmod_ret, exit, sessions, sessions with a cookie.
fn case(sizes: &[u8], flags: u32, attached: [usize; 5]) -> Case {
    let mut case = blank(sizes, flags, PLAIN);
    attach(&mut case, attached, &mut oracle::case::rng(1));
    case
}

fn check(case: &Case, quirks: Quirks) -> Result<Report, Error> {
    let mut checker = Checker::new().unwrap();
    let at = checker.addresses(Placement {
        high: true,
        offset: 0x123,
    });
    let image = rust::request(case, &at, quirks)?.build(&at)?;
    Ok(checker.check(case, &image, &at, 0))
}

/// Checks that the image with the quirk breaks these rules.
fn violated(case: &Case, quirks: Quirks, rules: &[Rule]) {
    let report = check(case, quirks).unwrap();
    let rules: BTreeSet<_> = rules.iter().copied().collect();
    assert_eq!(report.rules(), rules, "{:?}", report.violations);
}

#[test]
fn indirect_args_too_high() {
    let right = Quirks::C;
    let wrong = Quirks {
        indirect_args_too_high: true,
        ..right
    };
    let case = case(&[8; 8], flags::INDIRECT, [1, 0, 0, 0, 0]);
    violated(&case, wrong, &[Rule::ContextArguments]);
    assert!(check(&case, right).unwrap().passed());

    // There is nothing wrong without arguments on the stack.
    let case = self::case(&[8; 6], flags::INDIRECT, [1, 0, 0, 0, 0]);
    assert!(check(&case, wrong).unwrap().passed());
}

#[test]
fn tail_call_count_in_args() {
    let case = case(&[8; 8], CALLED | flags::TAIL_CALL_CTX, [0, 0, 1, 0, 0]);
    violated(&case, Quirks::C, &[Rule::StackArguments, Rule::Alignment]);
    let refused = Quirks {
        tail_call_count_in_args: false,
        ..Quirks::C
    };
    assert_eq!(check(&case, refused).unwrap_err(), Error::Uncovered);
}

#[test]
fn bare_original_call() {
    let mut case = case(&[8], CALLED | flags::ORIG_STACK, [0, 0, 1, 0, 0]);
    assert!(check(&case, Quirks::C).unwrap().passed());
    case.machine.call_depth = true;
    violated(&case, Quirks::C, &[Rule::CallDepth]);
    let refused = Quirks {
        bare_original_call: false,
        ..Quirks::C
    };
    assert_eq!(check(&case, refused).unwrap_err(), Error::Uncovered);
}

/// The kernel does not ask for this: sessions always have an exit half.
#[test]
fn return_slot_not_reserved() {
    let mut case = case(&[8, 8], flags::RESTORE_REGS, [1, 0, 0, 0, 0]);
    case.fentry[0].session = true;
    assert!(!case.is_legal());
    let rules = [
        Rule::ContextArguments,
        Rule::ContextReturnValue,
        Rule::RegisterArguments,
    ];
    violated(&case, Quirks::C, &rules);
    let refused = Quirks {
        return_slot_not_reserved: false,
        ..Quirks::C
    };
    assert_eq!(check(&case, refused).unwrap_err(), Error::Uncovered);
}

/// The contract does not cover the alignment of exit programs.
#[test]
fn aligned_in_scratch() {
    let case = case(&[8], CALLED, [0, 2, 1, 0, 0]);
    for aligned_in_scratch in [false, true] {
        let quirks = Quirks {
            aligned_in_scratch,
            ..Quirks::C
        };
        assert!(check(&case, quirks).unwrap().passed());
    }
}

/// RSP is not aligned to 16 bytes at every call: C aligns it only if arguments are on the stack.
#[test]
fn calls_aligned_to_8() {
    let even = check(&case(&[8], CALLED, [0, 0, 1, 0, 0]), Quirks::C).unwrap();
    let odd = check(&case(&[8, 8], CALLED, [0, 0, 1, 0, 0]), Quirks::C).unwrap();
    assert!(even.passed() && odd.passed());
    assert_ne!(even.calls_at_8 == 0, odd.calls_at_8 == 0);
}
