// SPDX-License-Identifier: GPL-2.0

//! Where the C builder is wrong, the oracle says so; where the Rust builder has a right image as
//! well, the oracle takes it.

use builder::{Error, Quirks};
use oracle::case::{flags, Case};
use oracle::cases::{attach, blank, PLAIN};
use oracle::contract::Rule;
use oracle::exam::{Examiner, Report};
use oracle::rust;
use oracle::world::Room;
use std::collections::BTreeSet;

const CALLED: u32 = flags::CALL_ORIG | flags::SKIP_FRAME;

/// A case with programs: entry, fmod_ret, exit, sessions, sessions with a cookie.
fn case(sizes: &[u8], flags: u32, attached: [usize; 5]) -> Case {
    let mut case = blank(sizes, flags, PLAIN);
    attach(&mut case, attached, &mut oracle::case::rng(1));
    case
}

fn examine(case: &Case, quirks: Quirks) -> Result<Report, Error> {
    let mut examiner = Examiner::new().unwrap();
    let at = examiner.addresses(Room {
        high: true,
        offset: 0x123,
    });
    let image = rust::ask(case, &at, quirks)?.build(&at)?;
    Ok(examiner.examine(case, &image, &at, 0))
}

/// Examines the image with C's mistake.
fn broken(case: &Case, quirks: Quirks, rules: &[Rule]) {
    let report = examine(case, quirks).unwrap();
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
    broken(&case, wrong, &[Rule::ContextArguments]);
    assert!(examine(&case, right).unwrap().passed());

    // Without arguments on the stack there is nothing wrong.
    let case = self::case(&[8; 6], flags::INDIRECT, [1, 0, 0, 0, 0]);
    assert!(examine(&case, wrong).unwrap().passed());
}

#[test]
fn tail_call_count_in_args() {
    let case = case(&[8; 8], CALLED | flags::TAIL_CALL_CTX, [0, 0, 1, 0, 0]);
    broken(&case, Quirks::C, &[Rule::StackArguments, Rule::Alignment]);
    let refused = Quirks {
        tail_call_count_in_args: false,
        ..Quirks::C
    };
    assert_eq!(examine(&case, refused).unwrap_err(), Error::Uncovered);
}

#[test]
fn bare_original_call() {
    let mut case = case(&[8], CALLED | flags::ORIG_STACK, [0, 0, 1, 0, 0]);
    assert!(examine(&case, Quirks::C).unwrap().passed());
    case.machine.call_depth = true;
    broken(&case, Quirks::C, &[Rule::CallDepth]);
    let refused = Quirks {
        bare_original_call: false,
        ..Quirks::C
    };
    assert_eq!(examine(&case, refused).unwrap_err(), Error::Uncovered);
}

/// No caller asks for this: sessions always come with an exit half.
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
    broken(&case, Quirks::C, &rules);
    let refused = Quirks {
        return_slot_not_reserved: false,
        ..Quirks::C
    };
    assert_eq!(examine(&case, refused).unwrap_err(), Error::Uncovered);
}

/// Where the exit programs are aligned to is nothing that the contract knows of.
#[test]
fn aligned_in_scratch() {
    let case = case(&[8], CALLED, [0, 2, 1, 0, 0]);
    for aligned_in_scratch in [false, true] {
        let quirks = Quirks {
            aligned_in_scratch,
            ..Quirks::C
        };
        assert!(examine(&case, quirks).unwrap().passed());
    }
}

/// Not every call is aligned to 16 bytes: C cares only where arguments are on the stack.
#[test]
fn calls_aligned_to_8() {
    let even = examine(&case(&[8], CALLED, [0, 0, 1, 0, 0]), Quirks::C).unwrap();
    let odd = examine(&case(&[8, 8], CALLED, [0, 0, 1, 0, 0]), Quirks::C).unwrap();
    assert!(even.passed() && odd.passed());
    assert_ne!(even.calls_at_8 == 0, odd.calls_at_8 == 0);
}
