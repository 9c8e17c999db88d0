// SPDX-License-Identifier: GPL-2.0

//! Compares images: two of them instruction by instruction, two dumps image by image.

use std::ops::Range;

use serde::Serialize;
use similar::{capture_diff_slices, Algorithm, DiffOp};

use crate::reading::{Line, Phase, Reading};

mod dumps;

pub use dumps::{compare_dumps, Change, DumpDiff};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// What the instructions do. Addresses of the image, of programs and of functions may differ.
    Meaning,
    /// Bytes.
    Bytes,
}

/// A run of instructions, by index: equal ones, or some that are there in place of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    pub equal: bool,
    pub a: Range<usize>,
    pub b: Range<usize>,
}

/// How two images differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// All instructions of both, in order.
    pub runs: Vec<Run>,
    /// By phase, those that differ only.
    pub phases: Vec<PhaseChange>,
}

/// What changed in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseChange {
    pub phase: Phase,
    /// Instructions that only one of the images has.
    pub only_a: usize,
    pub only_b: usize,
    /// Bytes of the phase, of each.
    pub bytes: [usize; 2],
}

impl Diff {
    pub fn new(a: &Reading, b: &Reading, by: By) -> Self {
        let runs = match by {
            By::Meaning => runs(&a.lines, &b.lines, |line| line.normal.as_str()),
            By::Bytes => runs(&a.lines, &b.lines, |line| line.bytes.as_slice()),
        };
        Self {
            phases: phases(&runs, &a.lines, &b.lines),
            runs,
        }
    }

    pub fn is_equal(&self) -> bool {
        self.runs.iter().all(|run| run.equal)
    }
}

fn runs<'a, K: Eq + std::hash::Hash + Ord + ?Sized + 'a>(
    a: &'a [Line],
    b: &'a [Line],
    key: impl Fn(&'a Line) -> &'a K,
) -> Vec<Run> {
    let keys = |lines: &'a [Line]| lines.iter().map(&key).collect::<Vec<_>>();
    capture_diff_slices(Algorithm::Myers, &keys(a), &keys(b))
        .into_iter()
        .map(|op| Run {
            equal: matches!(op, DiffOp::Equal { .. }),
            a: op.old_range(),
            b: op.new_range(),
        })
        .collect()
}

fn phases(runs: &[Run], a: &[Line], b: &[Line]) -> Vec<PhaseChange> {
    let only = |lines: &[Line], ranges: fn(&Run) -> Range<usize>, phase: Phase| {
        runs.iter()
            .filter(|run| !run.equal)
            .filter_map(|run| lines.get(ranges(run)))
            .flatten()
            .filter(|line| line.phase == phase)
            .count()
    };
    let bytes = |lines: &[Line], phase: Phase| {
        let of_phase = lines.iter().filter(|line| line.phase == phase);
        of_phase.map(|line| line.bytes.len()).sum()
    };
    Phase::ALL
        .into_iter()
        .map(|phase| PhaseChange {
            phase,
            only_a: only(a, |run| run.a.clone(), phase),
            only_b: only(b, |run| run.b.clone(), phase),
            bytes: [bytes(a, phase), bytes(b, phase)],
        })
        .filter(|change| change.only_a + change.only_b != 0)
        .collect()
}
