// SPDX-License-Identifier: GPL-2.0

//! Programs are attached and detached by the thousand, and nothing is left of it.
//!
//! What takes the time of a change is that ftrace goes through all functions of the
//! kernel. One link with many functions does that once for all of them.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{ensure, Context, Result};
use rand::rngs::StdRng;
use rand::SeedableRng;

use super::jitmem::Account;
use crate::attach::Via;
use crate::harness::{skip, Env};
use crate::hooks::{self, Stats};
use crate::kallsyms;
use crate::tracing;
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;
use crate::workload::multi::{link_create, BPF_TRACE_FSESSION_MULTI};

tests! {
    cycles_links: "10,000 times attached and detached: nothing is kept",
}

const FUNCTIONS: usize = 250;
const LINKS: usize = 40;

fn link(prog: BorrowedFd<'_>, ids: &[u32]) -> std::io::Result<OwnedFd> {
    link_create(prog, BPF_TRACE_FSESSION_MULTI, ids, &vec![0; ids.len()])
}

/// The functions in whose entry ftrace can be, each the only one of its name.
fn traceable() -> Result<HashSet<String>> {
    let text = tracing::read("available_filter_functions")?;
    let (mut once, mut again) = (HashSet::new(), HashSet::new());
    for name in text.lines().filter_map(|line| line.split(' ').next()) {
        if !once.insert(name.to_owned()) {
            again.insert(name.to_owned());
        }
    }
    once.retain(|name| !again.contains(name));
    Ok(once)
}

/// Adds those of `ids` to `taken` that the kernel lets programs on.
fn take(prog: BorrowedFd<'_>, ids: &[u32], taken: &mut Vec<u32>) {
    match link(prog, ids) {
        Ok(_) => taken.extend(ids),
        Err(_) if ids.len() < 2 => (),
        Err(_) => {
            let (first, second) = ids.split_at(ids.len() / 2);
            take(prog, first, taken);
            take(prog, second, taken);
        }
    }
}

/// So many functions, of those that nobody sleeps in.
fn choose(prog: BorrowedFd<'_>, seed: u64) -> Result<Vec<u32>> {
    let (all, traceable) = (Functions::load()?, traceable()?);
    let chosen = all.choose(&mut StdRng::seed_from_u64(seed), |function| {
        !function.name.starts_with("__x64_sys_") && traceable.contains(&function.name)
    });
    let ids: Vec<_> = chosen.iter().map(|function| function.id).collect();
    let mut taken = Vec::new();
    for ids in ids.chunks(FUNCTIONS) {
        if taken.len() < FUNCTIONS {
            take(prog, ids, &mut taken);
        }
    }
    ensure!(taken.len() >= FUNCTIONS, "only {} functions", taken.len());
    taken.truncate(FUNCTIONS);
    Ok(taken)
}

fn cycles_links(env: &Env) -> Result<()> {
    let account = Account::open(env)?;
    let bulk = Bulk::load(&env.bpf)?;
    let prog = match bulk.load_multi(What::WithCookie, false, BPF_TRACE_FSESSION_MULTI, None) {
        Err(err) if err.raw_os_error() == Some(libc::EINVAL) => {
            return Err(skip("the kernel does not know multi links"));
        }
        prog => prog?,
    };
    // What the kernel takes is for the kernel to say.
    let ids = match env.via {
        Via::Takeover => hooks::unhooked(|| choose(prog.as_fd(), env.seed))??,
        _ => choose(prog.as_fd(), env.seed)?,
    };
    let before = account.settled()?;
    let counted = match env.via {
        Via::Takeover => Some(Stats::read()?),
        _ => None,
    };
    for nr in 0..LINKS {
        let link = link(prog.as_fd(), &ids).with_context(|| format!("link {nr}"))?;
        if nr == 0 || nr == LINKS - 1 {
            let (images, charged) = (kallsyms::kernel_images()?, account.charged()?);
            println!("{} images, {} bytes more", images.len(), charged - before);
            ensure!(images.len() >= FUNCTIONS && charged > before, "too few");
        }
        drop(link);
    }
    if let Some(counted) = counted {
        let counted = counted.since()?;
        counted.check_clean()?;
        check_eq!(
            counted.get("built")?,
            (FUNCTIONS * LINKS) as u64,
            "images that were built in Rust"
        );
    }
    check_eq!(bulk.seen_at(0)?.wrong, 0, "what programs saw wrong");
    account.wait(before)?;
    check_eq!(kallsyms::all_images()?, [], "images");
    Ok(())
}
