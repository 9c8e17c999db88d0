// SPDX-License-Identifier: GPL-2.0

//! Which tests may be skipped, by kernel and machine.

use std::fs;

use comparison::Need;

/// The list, which says how it is read.
const LIST: &str = include_str!("../../expected_skips");

/// Whether this kernel and machine let the test off for this reason. `name` has the way in
/// which it runs, `plain` has not.
pub fn is_expected(name: &str, plain: &str, reason: &str) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    entries().any(|entry| entry.fits(release.trim(), [name, plain], reason))
}

fn entries() -> impl Iterator<Item = Entry<'static>> {
    LIST.lines().filter_map(Entry::parse)
}

#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    places: &'a str,
    test: &'a str,
    reason: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (places, rest) = line.strip_prefix("skip ")?.split_once(' ')?;
        let (test, reason) = rest.split_once(' ')?;
        Some(Self {
            places,
            test,
            reason,
        })
    }

    fn fits(&self, release: &str, names: [&str; 2], reason: &str) -> bool {
        names.contains(&self.test)
            && reason.starts_with(self.reason)
            && (self.places.split(',')).all(|place| is_here(place, release))
    }
}

/// Whether the machine with a kernel of this release is such a place.
fn is_here(place: &str, release: &str) -> bool {
    if place == "any" {
        return true;
    }
    if let Some(need) = place.strip_prefix("lacks:") {
        let need: Need = need.parse().expect("the list names what --need takes");
        return need.missing().is_some();
    }
    match place.strip_suffix('+') {
        Some(oldest) => series(release) >= series(oldest),
        None if series(place).is_some() => series(release) == series(place),
        None => release.split(['-', '+']).any(|word| word == place),
    }
}

/// `7.3` of `7.3.4+deb13-amd64`.
fn series(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RT: &str = "7.3.4+deb13-rt-amd64";

    #[test]
    fn places_are_series_flavours_and_machines() {
        for place in ["any", "7.3", "7.2+", "7.3+", "rt", "lacks:cpu:no_such_flag"] {
            assert!(is_here(place, RT), "{place}");
        }
        for place in ["7.2", "7.4+", "10.1+", "cloud", "r"] {
            assert!(!is_here(place, RT), "{place}");
        }
        assert!(is_here("7.2+", "10.1.0"));
    }

    #[test]
    fn place_test_and_reason_must_fit() {
        let entry = Entry::parse("skip rt,7.3 some_test it is too hot").unwrap();
        assert!(entry.fits(RT, ["takeover.some_test", "some_test"], "it is too hot: 40"));
        assert!(!entry.fits(RT, ["some_test", "some_test"], "it is too cold"));
        assert!(!entry.fits(RT, ["other_test", "other_test"], "it is too hot"));
        assert!(!entry.fits("7.2.12-rt", ["some_test", "some_test"], "it is too hot"));
    }

    /// A line of another kind would not be noticed by anybody.
    #[test]
    fn the_list_is_understood() {
        for line in LIST.lines() {
            assert!(
                line.is_empty() || line.starts_with('#') || Entry::parse(line).is_some(),
                "{line}"
            );
        }
        for place in entries().flat_map(|entry| entry.places.split(',')) {
            is_here(place, RT);
        }
    }

    #[test]
    fn the_list_names_tests() {
        use crate::attach::Via;
        use crate::tests;
        let all = [Via::Device, Via::Takeover]
            .into_iter()
            .flat_map(tests::all);
        let mut names: Vec<_> = all.chain(tests::last()).map(|test| test.name).collect();
        // Part of a test.
        names.push("workload");
        for entry in entries() {
            let test = entry
                .test
                .split_once('.')
                .map_or(entry.test, |(_, test)| test);
            assert!(names.contains(&test), "{test}");
        }
    }
}
