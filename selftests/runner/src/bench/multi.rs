// SPDX-License-Identifier: GPL-2.0

//! What one link on many functions costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use figures::document::{Document, Multi, Programs, Who};

use super::attaching::{least, take_least};
use super::clock::Clock;
use super::programs::Source;
use crate::hooks::Stats;
use crate::tests::jitmem::Account;
use crate::tests::wait_for;
use crate::workload::functions::Functions;
use crate::workload::multi::{link_create, BPF_TRACE_FENTRY_MULTI, BPF_TRACE_FSESSION_MULTI};

const TRACEABLE: &str = "/sys/kernel/tracing/available_filter_functions";

const PROGRAMS: [(Programs, &str, u32); 2] = [
    (Programs::Fentry, "fentry", BPF_TRACE_FENTRY_MULTI),
    (
        Programs::WithCookie,
        "with_cookie",
        BPF_TRACE_FSESSION_MULTI,
    ),
];

const COUNTS: [usize; 5] = [1, 10, 100, 1000, 10_000];

/// How often few functions are attached to; the least counts.
const RUNS: usize = 4;

/// The rows, the same for everybody.
pub struct Rows {
    account: Account,
    /// Numbers in the kernel's BTF, in their order.
    ids: Vec<u32>,
    rows: Vec<Multi>,
}

impl Rows {
    /// As many functions as the list has that everybody may trace, or all that the kernel
    /// has.
    pub fn load(source: &Source, dir: &Path, whole: bool) -> Result<Self> {
        let functions = match whole {
            true => Functions::load_all()?,
            false => Functions::load()?,
        };
        let traceable = traceable()?;
        let ids: Vec<_> = functions
            .iter()
            .filter(|function| traceable.contains(&function.name))
            .map(|function| function.id)
            .collect();
        let ids = accepted(source, &ids)?;
        println!("bench: {} functions take a multi link", ids.len());
        let counts = COUNTS.into_iter().filter(|count| *count < ids.len());
        let counts: Vec<_> = counts.chain([ids.len()]).collect();
        let row = |(programs, functions): (Programs, usize)| Multi {
            programs,
            functions: functions as u32,
            cost: BTreeMap::new(),
            bytes: 0,
            memory: 0,
            identical: 0,
        };
        let rows = PROGRAMS.iter().flat_map(|(programs, ..)| {
            let programs = *programs;
            counts.iter().map(move |count| row((programs, *count)))
        });
        Ok(Self {
            account: Account::load(dir)?,
            rows: rows.collect(),
            ids,
        })
    }

    pub fn count(&mut self, source: &Source, who: Who) -> Result<()> {
        for row in &mut self.rows {
            let what = || format!("{} on {} functions", row.programs.name(), row.functions);
            let ids = &self.ids[..row.functions as usize];
            let runs = if ids.len() > 1000 { 1 } else { RUNS };
            if runs == 1 {
                // It takes minutes.
                println!("bench: {who:?}, {}", what());
            }
            let mut least = least();
            let before = self.account.charged()?;
            for _ in 0..runs {
                let (_, name, attach_type) = PROGRAMS
                    .into_iter()
                    .find(|(programs, ..)| *programs == row.programs)
                    .context("every row is of one of them")?;
                let prog = source.load_multi(name, attach_type)?;
                let charged = self.account.charged()?;
                let used = match who {
                    Who::C => used()?,
                    _ => 0,
                };
                let stats = (who == Who::Shadow).then(Stats::read);
                let clock = Clock::start();
                let link = link_create(prog.as_fd(), attach_type, ids, &[]);
                let attach = clock.stop();
                let link = link.with_context(what)?;
                if who == Who::C {
                    row.bytes = self.account.charged()?.abs_diff(charged);
                    row.memory = self::used()?.saturating_sub(used);
                }
                if let Some(stats) = stats {
                    row.identical = stats?.since()?.get("identical")?;
                }
                let clock = Clock::start();
                drop(link);
                take_least(&mut least, attach, clock.stop());
                drop(prog);
                let gone = || Ok(self.account.charged()? <= before);
                wait_for("its images are gone", gone).with_context(what)?;
            }
            row.cost.insert(who, least);
        }
        Ok(())
    }

    pub fn write(self, document: &mut Document) {
        document.multi.extend(self.rows);
        document.leave_out(
            "peak of memory while attaching",
            "the kernel keeps no high-water mark of its own memory",
        );
    }
}

/// What ftrace knows, by names that only one function has.
fn traceable() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(TRACEABLE).with_context(|| format!("cannot read {TRACEABLE}"))?;
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.contains('[')) {
        *names.entry(line).or_default() += 1;
    }
    let once = names.into_iter().filter(|(_, count)| *count == 1);
    Ok(once.map(|(name, _)| name.to_owned()).collect())
}

/// Leaves out what the kernel refuses: by halves, as it does not say which.
fn accepted(source: &Source, ids: &[u32]) -> Result<Vec<u32>> {
    let prog = source.load_multi("with_cookie", BPF_TRACE_FSESSION_MULTI)?;
    let (mut good, mut left) = (Vec::new(), vec![ids]);
    let mut refused = 0;
    while let Some(ids) = left.pop() {
        match link_create(prog.as_fd(), BPF_TRACE_FSESSION_MULTI, ids, &[]) {
            Ok(_) => good.extend_from_slice(ids),
            Err(_) if ids.len() == 1 => refused += 1,
            Err(_) => {
                let (first, second) = ids.split_at(ids.len() / 2);
                left.extend([second, first]);
            }
        }
    }
    ensure!(!good.is_empty(), "the kernel takes no multi links");
    println!("bench: {refused} functions refused");
    Ok(good)
}

/// Bytes of slab objects and of vmalloc, after caches have given back what they hold ready.
fn used() -> Result<u64> {
    for cache in fs::read_dir("/sys/kernel/slab")? {
        // Those of a name are links to one of them, and some cannot shrink.
        let _ = fs::write(cache?.path().join("shrink"), "1");
    }
    let text = fs::read_to_string("/proc/slabinfo").context("cannot read slabinfo")?;
    // Two lines of head, then the name, objects in use, all objects, and their size.
    let objects = text.lines().skip(2).map(|line| -> Result<u64> {
        let mut words = line.split_whitespace().skip(1);
        let in_use: u64 = words.next().context("objects")?.parse()?;
        let size: u64 = words.nth(1).context("their size")?.parse()?;
        Ok(in_use * size)
    });
    let objects: u64 = objects.sum::<Result<_>>()?;
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmallocUsed:"));
    let words = line.context("meminfo tells what vmalloc has")?.trim();
    let kilobytes: u64 = words.trim_end_matches(" kB").parse()?;
    Ok(objects + kilobytes * 1024)
}
