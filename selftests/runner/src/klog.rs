// SPDX-License-Identifier: GPL-2.0

//! The kernel log, read between tests. A splat fails the test it fell into,
//! whatever the test itself said.

use std::fs;
use std::io::{self, ErrorKind};

use crate::kmsg::Kmsg;

/// What is a splat, also for the scripts: the file says how to read it.
const LIST: &str = include_str!("../../splats");

pub struct Klog {
    kmsg: Kmsg,
    taint: u64,
}

impl Klog {
    /// Starts at the end of the log as it is now.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            kmsg: Kmsg::open()?,
            taint: tainted()?,
        })
    }

    /// What was logged since the last call.
    pub fn news(&mut self) -> io::Result<News> {
        let mut lines = Vec::new();
        self.kmsg.records(|record| match record {
            Some(record) => lines.extend(text(record)),
            None => lines.push("(records lost)".to_owned()),
        })?;
        let taint = tainted()?;
        let new_taint = taint & !self.taint & bad_taint();
        self.taint = taint;
        Ok(News {
            splat: new_taint != 0 || lines.iter().any(|line| is_splat(line)),
            lines,
        })
    }
}

#[derive(Debug)]
pub struct News {
    pub lines: Vec<String>,
    pub splat: bool,
}

fn tainted() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/sys/kernel/tainted")?;
    text.trim()
        .parse()
        .map_err(|_| ErrorKind::InvalidData.into())
}

/// The message of a record `priority,sequence,time,flags;message`, without the
/// continuation lines that hold its properties.
fn text(record: &str) -> Option<String> {
    let (_, message) = record.split_once(';')?;
    message.lines().next().map(str::to_owned)
}

/// What the list has of one kind: `splat`, `harmless` or `taint`.
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
    listed("splat").any(holds) && !listed("harmless").any(|text| line.contains(text))
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

    #[test]
    fn records_are_taken_apart() {
        let record = "4,1234,5678,-;rust_fsession: a; line\n SUBSYSTEM=misc\n";
        assert_eq!(text(record).unwrap(), "rust_fsession: a; line");
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

    /// A line of another kind would not be noticed by anybody.
    #[test]
    fn the_list_is_understood() {
        for line in LIST.lines() {
            let kind = line.split_once(' ').map_or(line, |(kind, _)| kind);
            assert!(
                ["", "#", "splat", "harmless", "taint"].contains(&kind),
                "{line}"
            );
            assert_eq!(line.trim_end(), line, "a blank at the end is not seen");
        }
        assert_eq!(bad_taint(), 0x42a0, "bits 5, 7, 9 and 14");
    }
}
