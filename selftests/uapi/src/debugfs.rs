// SPDX-License-Identifier: GPL-2.0

//! The module's files in debugfs: the mode of its hooks, and what they have counted.

use std::fs;
use std::io;

/// The directory of the files.
pub const DIR: &str = "/sys/kernel/debug/rust_fsession";
pub const MODE: &str = "/sys/kernel/debug/rust_fsession/mode";
pub const STATS: &str = "/sys/kernel/debug/rust_fsession/stats";
pub const MISMATCHES: &str = "/sys/kernel/debug/rust_fsession/mismatches";

/// What the module does with the images that the kernel asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Off,
    /// Builds them as well, and compares.
    Shadow,
    /// Builds them.
    Takeover,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Off, Self::Shadow, Self::Takeover];

    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Takeover => "takeover",
        }
    }

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// The counters of `stats`, in its order.
///
/// # Errors
///
/// Those of reading, and `InvalidData` where it is no list of names and numbers.
pub fn stats() -> io::Result<Vec<(String, u64)>> {
    parse_stats(&fs::read_to_string(STATS)?)
}

fn parse_stats(text: &str) -> io::Result<Vec<(String, u64)>> {
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no list of counters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_a_name_and_a_number() {
        let counters = parse_stats("built 3\ncompared 0\n").unwrap();
        assert_eq!(counters, [("built".into(), 3), ("compared".into(), 0)]);
        for broken in ["built", "built x", "built -1", "built 1 2"] {
            assert!(parse_stats(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn modes_are_found_by_their_names() {
        for mode in Mode::ALL {
            assert_eq!(Mode::from_name(mode.name()), Some(mode));
        }
        assert_eq!(Mode::from_name("on"), None);
    }
}
