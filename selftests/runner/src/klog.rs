// SPDX-License-Identifier: GPL-2.0

//! The kernel log, read between tests. A splat fails the test it fell into,
//! whatever the test itself said.

use std::fs;
use std::io::{self, ErrorKind};

use crate::kmsg::{Kmsg, Line, WARNING};

/// What is a splat, also for the scripts: the file says how to read it.
const LIST: &str = include_str!("../../splats");

pub struct Klog {
    kmsg: Kmsg,
    taint: u64,
    known: Known,
}

/// Splats that are known to be the kernel's own matter.
#[derive(Default)]
struct Known {
    /// Those whose trace of calls is still to come.
    open: usize,
    /// Whether there was one.
    any: bool,
}

impl Known {
    /// Whether `line` is of such a splat.
    fn is_of_one(&mut self, line: &str) -> bool {
        if listed("known").any(|text| line.contains(text)) {
            self.open += 1;
            self.any = true;
            return true;
        }
        let is_trace = self.open > 0 && line.contains("Call Trace:");
        self.open -= usize::from(is_trace);
        is_trace
    }
}

impl Klog {
    /// Starts at the end of the log as it is now, or at a line that is `mark`.
    pub fn open(mark: Option<&str>) -> io::Result<Self> {
        Ok(Self {
            kmsg: match mark {
                None => Kmsg::open()?,
                Some(mark) => Kmsg::since(mark)?,
            },
            taint: tainted()?,
            known: Known::default(),
        })
    }

    /// What was logged since the last call.
    pub fn news(&mut self) -> io::Result<News> {
        let mut news = News::default();
        self.kmsg.records(|line| match line {
            Some(line) => {
                news.splat |= is_splat(&line.text) && !self.known.is_of_one(&line.text);
                news.lines.push(line);
            }
            None => news.lost = true,
        })?;
        let taint = tainted()?;
        let mut bad = taint & !self.taint & bad_taint();
        if self.known.any {
            bad &= !WARNED;
        }
        news.tainted = bad != 0;
        self.taint = taint;
        Ok(news)
    }
}

/// The taint bit of a kernel that warned.
const WARNED: u64 = 1 << 9;

/// A piece of the log.
#[derive(Debug, Default)]
pub struct News {
    pub lines: Vec<Line>,
    splat: bool,
    /// The kernel is in trouble since.
    tainted: bool,
    /// There was more than the kernel keeps.
    lost: bool,
}

impl News {
    /// What is wrong with it, where the module is to say each of `expected` at the level of a
    /// warning or above, and nothing else.
    pub fn complaints(&self, expected: &[&str]) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.tainted || self.splat {
            complaints.push("the kernel log has a splat".to_owned());
        }
        if self.lost {
            complaints.push("the kernel log has lost records".to_owned());
        }
        let warnings: Vec<_> = self
            .lines
            .iter()
            .filter(|line| line.level <= WARNING && line.is_of_module() && !is_harmless(&line.text))
            .map(|line| line.text.as_str())
            .collect();
        let is_expected = |warning: &str| expected.iter().any(|text| warning.contains(text));
        complaints.extend(
            (warnings.iter().filter(|warning| !is_expected(warning)))
                .map(|warning| format!("the module was not to say: {warning}")),
        );
        complaints.extend(
            (expected.iter())
                .filter(|text| !warnings.iter().any(|warning| warning.contains(**text)))
                .map(|text| format!("the module was to say: {text}")),
        );
        complaints
    }
}

fn tainted() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/sys/kernel/tainted")?;
    text.trim()
        .parse()
        .map_err(|_| ErrorKind::InvalidData.into())
}

/// What the list has of one kind: `splat`, `harmless`, `known` or `taint`.
fn listed(kind: &str) -> impl Iterator<Item = &'static str> + '_ {
    LIST.lines()
        .filter_map(move |line| line.strip_prefix(kind)?.strip_prefix(' '))
}

fn is_splat(line: &str) -> bool {
    let holds = |splat| {
        // DEBUG: is not BUG.
        line.match_indices(splat)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    listed("splat").any(holds) && !is_harmless(line)
}

fn is_harmless(line: &str) -> bool {
    listed("harmless").any(|text| line.contains(text))
}

/// The taint bits that only a kernel in trouble sets.
fn bad_taint() -> u64 {
    listed("taint")
        .map(|bit| 1 << bit.parse::<u32>().expect("a taint is a bit's number"))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(lines: &[(u32, &str)]) -> News {
        let line = |&(level, text): &(u32, &str)| Line {
            level,
            text: text.to_owned(),
        };
        News {
            lines: lines.iter().map(line).collect(),
            ..News::default()
        }
    }

    #[test]
    fn a_quiet_log_is_fine() {
        let lines = [
            (6, "rust_fsession: an ordinary line"),
            (
                4,
                "rust_fsession: loading out-of-tree module taints kernel.",
            ),
            (4, "rust_fsession_targets: a warning of another module"),
            (4, "somebody's warning"),
        ];
        assert!(news(&lines).complaints(&[]).is_empty());
    }

    #[test]
    fn warnings_of_the_module_are_expected_or_not() {
        let warned = news(&[
            (4, "rust_fsession: f: it is odd"),
            (3, "rust_fsession: bad"),
        ]);
        assert!(warned.complaints(&["is odd", "bad"]).is_empty());
        assert_eq!(
            warned.complaints(&["is odd"]),
            ["the module was not to say: rust_fsession: bad"]
        );
        assert_eq!(
            news(&[]).complaints(&["is odd"]),
            ["the module was to say: is odd"]
        );
    }

    #[test]
    fn a_log_with_holes_is_not() {
        let lost = News {
            lost: true,
            ..News::default()
        };
        assert_eq!(lost.complaints(&[]).len(), 1);
        let tainted = News {
            tainted: true,
            ..News::default()
        };
        assert_eq!(tainted.complaints(&[]).len(), 1);
    }

    #[test]
    fn splats_are_found() {
        for line in [
            "WARNING: CPU: 0 PID: 71 at kernel/bpf/trampoline.c:895",
            "BUG: unable to handle page fault for address: ffffffffc0201000",
            "BUG kmalloc-64 (Not tainted): Poison overwritten",
            "Oops: Oops: 0002 [#1] SMP NOPTI",
            "BUG: KASAN: slab-use-after-free in foo+0x1/0x2",
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "INFO: rcu_tasks detected stalls on tasks:",
            "INFO: task runner:71 blocked for more than 120 seconds.",
            "WARNING: possible circular locking dependency detected",
            "[    2.512345] kernel BUG at mm/slub.c:634!",
            "[    2.512345] Call Trace:",
            "traps: PANIC: double fault, error_code: 0x0",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 143s! [runner:71]",
            "refcount_t: underflow; use-after-free.",
            "__ratelimit: 12 callbacks suppressed",
            "** 5 printk messages dropped **",
        ] {
            assert!(is_splat(line), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not_splats() {
        for line in [
            "rust_fsession: loading out-of-tree module taints kernel.",
            "rust_fsession: do_nanosleep: 338 bytes, identical",
            "DEBUG: nothing to see",
            "kfence: initialized - using 2097152 bytes for 255 objects",
            "Speculative Return Stack Overflow: WARNING: See \
             https://kernel.org/doc/html/latest/admin-guide/hw-vuln/srso.html for mitigation options.",
            "process 'runner' launched '/proc/self/exe' with NULL argv",
        ] {
            assert!(!is_splat(line), "{line}");
        }
    }

    #[test]
    fn a_known_splat_has_one_trace() {
        let known = listed("known").next().expect("there is one");
        let lines = [
            &format!("[    2.512345] {known}+0x1/0x2"),
            "Modules linked in: none",
            "Call Trace:",
            "Call Trace:",
        ];
        let mut state = Known::default();
        let of_one = lines.map(|line| state.is_of_one(line));
        assert_eq!(of_one, [true, false, true, false]);
    }

    /// A line of another kind would not be noticed by anybody.
    #[test]
    fn the_list_is_understood() {
        for line in LIST.lines() {
            let kind = line.split_once(' ').map_or(line, |(kind, _)| kind);
            assert!(
                ["", "#", "splat", "harmless", "known", "taint"].contains(&kind),
                "{line}"
            );
            assert_eq!(line.trim_end(), line, "a blank at the end is not seen");
        }
        assert_eq!(bad_taint(), 0x42a0, "bits 5, 7, 9 and 14");
    }
}
