// SPDX-License-Identifier: GPL-2.0

//! Objects of the slab allocator that the module has allocated, on a kernel that keeps
//! track of them (`slab_debug=U`).

use std::collections::BTreeMap;
use std::fs;

use anyhow::{ensure, Result};

const SLABS: &str = "/sys/kernel/debug/slab";

/// How many objects there are of each place that allocates them.
#[derive(Debug)]
pub struct Objects(BTreeMap<String, u64>);

impl Objects {
    /// Those of the module. `None` where the kernel keeps no track.
    pub fn of_module() -> Result<Option<Self>> {
        Self::read(|stack| {
            stack
                .iter()
                .position(|line| line.contains("[rust_fsession]"))
        })
    }

    /// Those that modules which have gone left from their init.
    pub fn of_gone() -> Result<Option<Self>> {
        Self::read(|stack| {
            let init = stack.iter().any(|line| line.contains("do_init_module"));
            let nameless = stack.iter().position(|line| line.starts_with("0x"));
            nameless.filter(|_| init)
        })
    }

    fn read(whose: impl Fn(&[&str]) -> Option<usize>) -> Result<Option<Self>> {
        let Ok(caches) = fs::read_dir(SLABS) else {
            return Ok(None);
        };
        let (mut objects, mut kept) = (BTreeMap::new(), false);
        for cache in caches {
            let path = cache?.path();
            let Ok(traces) = fs::read_to_string(path.join("alloc_traces")) else {
                continue;
            };
            kept = true;
            let cache = path.file_name().unwrap_or_default().to_string_lossy();
            for (place, number) in of_traces(&traces, &whose) {
                *objects.entry(format!("{cache}: {place}")).or_default() += number;
            }
        }
        Ok(kept.then_some(Self(objects)))
    }

    /// There are no more objects than `before`.
    pub fn check(&self, before: &Self) -> Result<()> {
        for (place, number) in &self.0 {
            let had = before.0.get(place).copied().unwrap_or(0);
            ensure!(
                *number <= had + elsewhere(),
                "{number} objects instead of {had} of {place}"
            );
        }
        Ok(())
    }
}

/// Has the kernel look at all objects of `kmalloc()`, on a kernel that can: what was written to
/// after it was freed is told in the log.
pub fn validate() -> Result<()> {
    let Ok(caches) = fs::read_dir("/sys/kernel/slab") else {
        return Ok(());
    };
    for cache in caches {
        let cache = cache?;
        if cache.file_name().to_string_lossy().starts_with("kmalloc-") {
            // Refused without `slab_debug`.
            let _ = fs::write(cache.path().join("validate"), "1");
        }
    }
    Ok(())
}

/// How many objects of a place may have come from KFENCE before, which now and then serves
/// one in place of the slab allocator.
fn elsewhere() -> u64 {
    let interval = fs::read_to_string("/sys/module/kfence/parameters/sample_interval");
    let off = interval.map_or(true, |interval| interval.trim() == "0");
    if off {
        0
    } else {
        2
    }
}

/// Memory that the kernel shares among all who have executable memory or use ftrace: it
/// belongs to whoever came first.
const SHARED: &[&str] = &["pack_alloc", "execmem", "vmalloc", "vmap", "text_poke"];

/// A line with the number of objects, then the stack, for each place; those where `whose`
/// finds somebody in the stack.
fn of_traces(traces: &str, whose: impl Fn(&[&str]) -> Option<usize>) -> Vec<(String, u64)> {
    let mut places: Vec<(u64, Vec<&str>)> = Vec::new();
    for line in traces.lines() {
        let mut words = line.split_whitespace();
        let number = words.next().and_then(|word| word.parse().ok());
        match (number, places.last_mut()) {
            (Some(number), _) => places.push((number, Vec::new())),
            (None, Some((_, stack))) if !line.trim().is_empty() => stack.push(line.trim()),
            _ => (),
        }
    }
    let of_module = places.iter().filter_map(|(number, stack)| {
        if stack
            .iter()
            .any(|line| SHARED.iter().any(|text| line.contains(text)))
        {
            return None;
        }
        let first = whose(stack)?;
        let function = |line: &str| line.split('+').next().unwrap_or_default().to_owned();
        // No further: where the module's init was, another one's code may be by now, and the
        // stack has its name there.
        let place = stack.iter().enumerate().skip(first.saturating_sub(2));
        let place = place.take_while(|(at, line)| *at < first || line.contains("[rust_fsession]"));
        let place: Vec<_> = place.take(4).map(|(_, line)| function(line)).collect();
        Some((place.join(" < "), *number))
    });
    of_module.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_told_apart() {
        let traces = "      2 krealloc+0x1/0x2 age=1/2/3 pid=1 cpus=0\n\
                      \x20       krealloc+0x1/0x2\n\
                      \x20       rf_new+0x3/0x4 [rust_fsession]\n\
                      \x20       rf_init+0x3/0x4 [rust_fsession]\n\
                      \x20       elsewhere+0x3/0x4 [another]\n\
                      \x20       do_one_initcall+0x1/0x2\n\
                      \n      9 alloc_inode+0x1/0x2 age=1 pid=1\n\
                      \x20       alloc_inode+0x1/0x2\n";
        assert_eq!(
            of_traces(traces, |stack| stack
                .iter()
                .position(|line| line.contains("[rust_fsession]"))),
            [("krealloc < rf_new < rf_init".to_owned(), 2)]
        );
    }
}
