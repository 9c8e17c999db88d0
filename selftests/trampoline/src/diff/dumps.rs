// SPDX-License-Identifier: GPL-2.0

//! Two dumps, image by image: what a change of a builder changes.

use serde::Serialize;

use super::{By, Diff, PhaseChange};
use crate::document::{Dump, Trampoline};
use crate::reading::{Error, Reading};

/// How two dumps differ.
#[derive(Clone, Debug, Serialize)]
pub struct DumpDiff<'a> {
    pub changes: Vec<Change<'a>>,
}

/// An image that is in one of the dumps, or in both.
#[derive(Clone, Debug, Serialize)]
pub struct Change<'a> {
    /// What is traced, or the image's name where that is not known.
    pub name: &'a str,
    /// Bytes, in each dump that has it.
    pub bytes: [Option<usize>; 2],
    /// None for an image that one dump does not have, or that cannot be read.
    pub phases: Option<Vec<PhaseChange>>,
    /// Why it cannot be read.
    pub unreadable: Option<String>,
    #[serde(skip)]
    pub sides: [Option<&'a Trampoline>; 2],
}

impl Change<'_> {
    pub fn is_equal(&self) -> bool {
        self.phases.as_ref().is_some_and(Vec::is_empty)
    }
}

impl DumpDiff<'_> {
    pub fn is_equal(&self) -> bool {
        self.changes.iter().all(Change::is_equal)
    }
}

/// What is traced. Several images may have one name: the n-th of one dump is held against the
/// n-th of the other.
pub fn name(trampoline: &Trampoline) -> &str {
    trampoline
        .target
        .as_ref()
        .map_or(&trampoline.symbol, |target| &target.name)
}

/// Which image of the other dump is the same one.
fn identity(trampoline: &Trampoline) -> (crate::document::Kind, &str, Option<&str>) {
    let module = trampoline
        .target
        .as_ref()
        .and_then(|target| target.module.as_deref());
    (trampoline.kind, name(trampoline), module)
}

/// Compares two dumps.
pub fn compare_dumps<'a>(a: &'a Dump, b: &'a Dump, by: By) -> DumpDiff<'a> {
    let mut left: Vec<&Trampoline> = b.trampolines.iter().collect();
    let mut changes = Vec::new();
    for one in &a.trampolines {
        let found = left
            .iter()
            .position(|other| identity(other) == identity(one));
        let other = found.map(|index| left.remove(index));
        changes.push(change([Some(one), other], by));
    }
    changes.extend(
        left.into_iter()
            .map(|other| change([None, Some(other)], by)),
    );
    changes.sort_by_key(|change| change.name);
    DumpDiff { changes }
}

fn change(sides: [Option<&Trampoline>; 2], by: By) -> Change<'_> {
    let [a, b] = sides;
    let (phases, unreadable) = match (a, b) {
        (Some(a), Some(b)) => match difference(a, b, by) {
            Ok(diff) => (Some(diff.phases), None),
            Err(err) => (None, Some(err.to_string())),
        },
        _ => (None, None),
    };
    Change {
        name: a.or(b).map_or("", name),
        bytes: sides.map(|side| side.map(|trampoline| trampoline.code.len())),
        phases,
        unreadable,
        sides,
    }
}

fn difference(a: &Trampoline, b: &Trampoline, by: By) -> Result<Diff, Error> {
    Ok(Diff::new(&Reading::new(a)?, &Reading::new(b)?, by))
}
