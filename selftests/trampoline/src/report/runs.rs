// SPDX-License-Identifier: GPL-2.0

//! Results from what a VM run has said: tests in KTAP, and counts of compared images.
//!
//! What `make vmtest`, `make compare`, `make matrix` or `make test` print is read as it is: kernels
//! are known by the lines `VM Linux RELEASE` and `COMPARE RELEASE, MACHINE`.

use std::mem;

/// Diagnostic lines that are kept of a test that failed: the last ones.
const KEPT: usize = 60;

/// The results of some runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    pub tests: Vec<Test>,
    pub comparisons: Vec<Comparison>,
}

/// One result.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// Release of the kernel, or what else the run is called.
    pub kernel: String,
    /// Without the prefix that tells how its programs are attached.
    pub name: String,
    pub way: Way,
    pub outcome: Outcome,
    pub seconds: Option<f64>,
    /// What a test that failed has said.
    pub said: Vec<String>,
}

/// How a test's programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// `/dev/rust_fsession`
    Device,
    /// Links, in mode `takeover`.
    Takeover,
    /// Links, with the C builder's images.
    Link,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Failed,
    Skipped(String),
    Passed,
}

/// How many images of both builders were the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub kernel: String,
    /// Mitigations, by the name of the variant.
    pub machine: String,
    pub compared: u64,
    pub identical: u64,
    pub different: u64,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Takeover => "takeover",
            Self::Link => "link",
        }
    }

    fn split(name: &str) -> (Self, &str) {
        for way in [Self::Takeover, Self::Link] {
            let rest = name.strip_prefix(way.name());
            if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) {
                return (way, rest);
            }
        }
        (Self::Device, name)
    }
}

impl Runs {
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.comparisons.is_empty()
    }

    /// Adds what a run has said. `name` stands for a kernel that is not told.
    pub fn read(&mut self, text: &str, name: &str) {
        let mut kernel = name.to_owned();
        let mut machine = "default".to_owned();
        let mut said = Vec::new();
        for line in text.lines() {
            if let Some(release) = vm(line) {
                kernel = release.to_owned();
                machine = "default".into();
            } else if let Some((release, variant)) = variant(line) {
                kernel = release.to_owned();
                machine = variant;
            } else if let Some(counts) = Comparison::parse(line) {
                self.comparisons.push(Comparison {
                    kernel: kernel.clone(),
                    machine: machine.clone(),
                    ..counts
                });
            } else if let Some(mut test) = Test::parse(line) {
                test.kernel.clone_from(&kernel);
                let lines = mem::take(&mut said);
                if test.outcome == Outcome::Failed {
                    let from = lines.len().saturating_sub(KEPT);
                    test.said = lines.into_iter().skip(from).collect();
                }
                self.tests.push(test);
            } else if let Some(text) = line.strip_prefix('#') {
                said.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
            }
        }
    }
}

impl Test {
    /// Reads `ok 3 NAME # 1.2s`, `not ok 3 NAME # …`, `ok 3 NAME # SKIP reason`.
    fn parse(line: &str) -> Option<Self> {
        let (passed, rest) = match line.strip_prefix("not ok ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok ")?),
        };
        let (number, rest) = rest.split_once(' ')?;
        number.parse::<u64>().ok()?;
        let (name, note) = rest.split_once(" # ").unwrap_or((rest, ""));
        let skipped = note.strip_prefix("SKIP").map(str::trim);
        let (way, name) = Way::split(name.trim());
        Some(Self {
            kernel: String::new(),
            name: name.to_owned(),
            way,
            outcome: match (passed, skipped) {
                (_, Some(reason)) => Outcome::Skipped(reason.to_owned()),
                (true, None) => Outcome::Passed,
                (false, None) => Outcome::Failed,
            },
            seconds: seconds(note),
            said: Vec::new(),
        })
    }
}

impl Comparison {
    /// Reads `compared N, identical N, different N`.
    fn parse(line: &str) -> Option<Self> {
        let mut counts = line.trim().split(", ");
        let mut count = |what| {
            let (name, number) = counts.next()?.split_once(' ')?;
            (name == what).then(|| number.parse().ok()).flatten()
        };
        Some(Self {
            compared: count("compared")?,
            identical: count("identical")?,
            different: count("different")?,
            ..Self::default()
        })
    }
}

/// The release in `  VM      Linux 7.2.12+deb13-amd64 (tcg)`.
fn vm(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("VM ")?.trim_start();
    rest.strip_prefix("Linux ")?.split(' ').next()
}

/// Release and machine in `  COMPARE 7.2.12+deb13-amd64, retbleed=stuff    12.3 s`.
fn variant(line: &str) -> Option<(&str, String)> {
    let rest = line.trim_start().strip_prefix("COMPARE ")?;
    let (release, rest) = rest.split_once(", ")?;
    let mut words: Vec<_> = rest.split_whitespace().collect();
    if let [.., time, "s"] = words[..] {
        if time.parse::<f64>().is_ok() {
            words.truncate(words.len() - 2);
        }
    }
    Some((release, words.join(" ")))
}

/// Reads a duration as Rust writes it: `754.4ms`, `1.2s`.
fn seconds(text: &str) -> Option<f64> {
    let units = [("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0)];
    units.into_iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
  MODULE  rust_fsession.ko for Linux 7.2.12+deb13-amd64     8.9 s
  VM      Linux 7.2.12+deb13-amd64 (tcg)

TAP version 13
1..4
# seed 1
ok 1 session_cookie # 754.4ms
# left: 1
#
# right: 2
not ok 2 takeover.session_cookie # 1.2s
ok 3 limit # SKIP they all fit
ok then
  COMPARE 7.3.4, spectre_v2=retpoline                   12.3 s
          compared 20000, identical 19999, different 1
";

    #[test]
    fn what_a_run_says() {
        let mut runs = Runs::default();
        runs.read(SAID, "file");
        let [passed, failed, skipped] = &runs.tests[..] else {
            panic!("{runs:?}");
        };
        assert_eq!(passed.kernel, "7.2.12+deb13-amd64");
        assert_eq!((passed.way, &*passed.name), (Way::Device, "session_cookie"));
        assert_eq!(passed.outcome, Outcome::Passed);
        assert!((passed.seconds.unwrap() - 0.7544).abs() < 1e-9);
        assert_eq!(
            (failed.way, &*failed.name),
            (Way::Takeover, "session_cookie")
        );
        assert_eq!(failed.said, ["left: 1", "", "right: 2"]);
        assert_eq!(skipped.outcome, Outcome::Skipped("they all fit".into()));
        assert_eq!(
            runs.comparisons,
            [Comparison {
                kernel: "7.3.4".into(),
                machine: "spectre_v2=retpoline".into(),
                compared: 20000,
                identical: 19999,
                different: 1,
            }]
        );
    }

    #[test]
    fn a_run_without_a_kernel_has_the_files_name() {
        let mut runs = Runs::default();
        runs.read("ok 1 one\n", "file");
        assert_eq!(runs.tests[0].kernel, "file");
    }
}
