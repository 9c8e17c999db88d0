// SPDX-License-Identifier: GPL-2.0

//! The images of all dumps, and which of them belong side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::{slug, Side};
use crate::document::{Kind, Trampoline};

/// An image of one of the dumps.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub side: &'a Side,
    pub trampoline: &'a Trampoline,
}

/// One image, or two of the same target.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What the page calls it in a link: from target and kernel, and unique.
    pub id: String,
    pub left: Shown<'a>,
    pub right: Option<Shown<'a>>,
}

/// What is traced, or the image's name where that is not known.
pub fn name(trampoline: &Trampoline) -> &str {
    let target = trampoline.target.as_ref();
    target.map_or(&trampoline.symbol, |target| &target.name)
}

/// What makes two images the same one of two dumps: what is traced, and the number among those of
/// one dump that trace the same.
type Identity<'a> = (&'a str, Option<&'a str>, Kind, usize);

/// All images, by name.
///
/// Two images of a target stand side by side, whatever dumps they are from. Of more than two,
/// those of one kernel do: its first one with each other one.
pub fn entries(sides: &[Side]) -> Vec<Entry<'_>> {
    let mut of_target: BTreeMap<Identity, Vec<Shown>> = BTreeMap::new();
    for side in sides {
        let mut numbers: BTreeMap<Identity, usize> = BTreeMap::new();
        for trampoline in &side.dump.trampolines {
            let target = trampoline.target.as_ref();
            let module = target.and_then(|target| target.module.as_deref());
            let mut identity = (name(trampoline), module, kind(trampoline), 0);
            let number = numbers.entry(identity).or_default();
            identity.3 = *number;
            *number += 1;
            let shown = Shown { side, trampoline };
            of_target.entry(identity).or_default().push(shown);
        }
    }
    let mut ids = BTreeSet::new();
    let pairs = of_target.into_values().flat_map(pairs);
    pairs
        .map(|(left, right)| Entry {
            id: id(&left, &mut ids),
            left,
            right,
        })
        .collect()
}

/// The module's own trampolines are held against the kernel's.
fn kind(trampoline: &Trampoline) -> Kind {
    match trampoline.kind {
        Kind::Device => Kind::Kernel,
        kind => kind,
    }
}

fn pairs(shown: Vec<Shown<'_>>) -> Vec<(Shown<'_>, Option<Shown<'_>>)> {
    if let [one, other] = shown[..] {
        return vec![(one, Some(other))];
    }
    let mut pairs = Vec::new();
    let mut left = shown;
    while let Some(first) = left.first().copied() {
        let release = &first.side.dump.host.release;
        let (same, others): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|shown| shown.side.dump.host.release == *release);
        left = others;
        match &same[..] {
            [_] => pairs.push((first, None)),
            same => pairs.extend(same.iter().skip(1).map(|other| (first, Some(*other)))),
        }
    }
    pairs
}

fn id(shown: &Shown, taken: &mut BTreeSet<String>) -> String {
    let name = slug(name(shown.trampoline));
    let wanted = format!("image-{name}-{}", slug(&shown.side.dump.host.release));
    let mut id = wanted.clone();
    for number in 2.. {
        if taken.insert(id.clone()) {
            break;
        }
        id = format!("{wanted}-{number}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Dump, Hex, Host};

    fn side(release: &str, label: &str, symbols: &[&str]) -> Side {
        let mut dump = Dump::new(Host {
            release: release.into(),
            ..Host::default()
        });
        dump.trampolines = symbols
            .iter()
            .map(|symbol| Trampoline {
                symbol: (*symbol).into(),
                kind: Kind::Kernel,
                key: None,
                addr: Hex(0),
                code: Vec::new(),
                target: None,
                programs: Vec::new(),
                owners: Vec::new(),
                symbols: BTreeMap::new(),
                module: None,
            })
            .collect();
        let label = label.into();
        Side { label, dump }
    }

    fn shown(sides: &[Side]) -> Vec<String> {
        let entries = entries(sides);
        let shown = entries.iter().map(|entry| {
            let right = entry.right.map_or("-", |right| &right.side.label);
            format!("{} {} {right}", entry.id, entry.left.side.label)
        });
        shown.collect()
    }

    #[test]
    fn two_images_of_a_target_stand_side_by_side() {
        let sides = [
            side("7.2", "a", &["x", "y", "x"]),
            side("7.3", "b", &["x", "z"]),
        ];
        assert_eq!(
            shown(&sides),
            [
                "image-x-7.2 a b",
                "image-x-7.2-2 a -",
                "image-y-7.2 a -",
                "image-z-7.3 b -"
            ]
        );
    }

    #[test]
    fn of_many_those_of_one_kernel_do() {
        let sides = [
            side("7.2", "a", &["x"]),
            side("7.3", "b", &["x"]),
            side("7.2", "c", &["x"]),
            side("7.2", "d", &["x"]),
        ];
        assert_eq!(
            shown(&sides),
            ["image-x-7.2 a c", "image-x-7.2-2 a d", "image-x-7.3 b -"]
        );
    }
}
