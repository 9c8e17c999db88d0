// SPDX-License-Identifier: GPL-2.0

//! Bytes of any kind are read or refused: nothing panics, and every view of what was read is made.

mod common;

use oracle::cases;
use oracle::memory::Mapping;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use trampoline::diff::{By, Diff};
use trampoline::document::Trampoline;
use trampoline::reading::Reading;
use trampoline::view;

/// Images of all kinds, to be spoilt.
fn images() -> Vec<Trampoline> {
    let memory = Mapping::new().unwrap();
    let all = cases::grid().step_by(997).chain(cases::full());
    all.filter_map(|sample| common::built(&sample, &memory))
        .collect()
}

/// Reads it and makes every view.
fn look_at(trampoline: &Trampoline) -> bool {
    let Ok(reading) = Reading::new(trampoline) else {
        return false;
    };
    for width in [0, 20, 40, 80, 200] {
        view::header::header(trampoline, &reading, width);
        view::picture::picture(&reading, width);
        view::listing::listing(&reading, width);
    }
    assert!(Diff::new(&reading, &reading, By::Meaning).is_equal());
    true
}

proptest! {
    #[test]
    fn any_bytes(code in proptest::collection::vec(any::<u8>(), 0..300), addr: u64) {
        let mut trampoline = common::bare(code);
        trampoline.addr.0 = addr;
        look_at(&trampoline);
    }
}

#[test]
fn spoilt_images() {
    let images = images();
    assert!(images.len() > 20);
    let mut still_read = 0;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let spoils = (
        0..images.len(),
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<bool>(),
    );
    for _ in 0..2000 {
        let tree = spoils.new_tree(&mut runner).unwrap();
        let (nr, at, byte, cut) = tree.current();
        let mut trampoline = images[nr].clone();
        let at = at.index(trampoline.code.len());
        trampoline.code[at] = byte;
        if cut {
            trampoline.code.truncate(at);
        }
        still_read += usize::from(look_at(&trampoline));
    }
    // Some are refused, some are not.
    assert!((1..2000).contains(&still_read), "{still_read}");
}

/// A detached program: the nop before it has become a jump behind it.
#[test]
fn detached_program() {
    let memory = Mapping::new().unwrap();
    let sample = cases::grid()
        .find(|sample| sample.case.fentry.len() == 3 && !sample.case.machine.call_depth)
        .unwrap();
    let mut trampoline = common::built(&sample, &memory).unwrap();
    let at = memory.addresses(sample.placement);
    let skip = oracle::rust::build(&sample.case, &at).unwrap().skips[1];
    let distance = u32::try_from(skip.target - skip.nop - 5).unwrap();
    let nop = usize::try_from(skip.nop).unwrap();
    trampoline.code[nop] = 0xe9;
    trampoline.code[nop + 1..nop + 5].copy_from_slice(&distance.to_le_bytes());
    let reading = Reading::new(&trampoline).unwrap();
    let detached: Vec<bool> = reading.calls.iter().map(|call| call.detached).collect();
    assert_eq!(detached, [false, true, false]);
    let skipped = reading.lines.iter().filter(|line| line.skipped);
    for line in skipped.clone() {
        let from = u64::from(line.offset);
        assert!((skip.nop + 5..skip.target).contains(&from));
    }
    assert!(skipped.count() > 5);
    let text = view::header::header(&trampoline, &reading, 80);
    assert!(text.contains(", detached"), "{text}");
}
