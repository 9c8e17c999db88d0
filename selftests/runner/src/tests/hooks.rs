// SPDX-License-Identifier: GPL-2.0

//! The hooks: what the kernel builds for its own trampolines, compared with
//! what Rust builds, or replaced by it.

use anyhow::{Context, Result};

use crate::harness::{Env, Test};
use crate::hooks::{Hooked, Mode, Stats};
use crate::probe::{Kind, Spec};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;

mod cgroup;
mod debugfs;
mod limit;
mod memory;
pub mod mismatches;
mod mode;
mod ops;
mod stats;
mod storm;
mod sysctl;
mod taken;
mod tracer;
mod unload;
mod workload;
mod xlated;

pub const TESTS: [&[Test]; 15] = [
    mode::TESTS,
    stats::TESTS,
    workload::TESTS,
    xlated::TESTS,
    limit::TESTS,
    debugfs::TESTS,
    sysctl::TESTS,
    taken::TESTS,
    memory::TESTS,
    tracer::TESTS,
    storm::TESTS,
    unload::TESTS,
    cgroup::TESTS,
    ops::TESTS,
    mismatches::TESTS,
];

/// The links that `expect_works()` makes, each of which takes one image.
const NR_LINKS: u64 = 3;

/// Shows that links and the device work in this mode, and that the hooks count
/// each image of a link once.
fn expect_works(env: &Env, hooked: &Hooked, mode: Mode) -> Result<()> {
    const PROGRAMS: [(What, &str); NR_LINKS as usize] = [
        (What::Fentry, "bpf_fentry_test1"),
        (What::WithCookie, "bpf_fentry_test2"),
        (What::Fexit, "bpf_fentry_test3"),
    ];
    hooked
        .set(mode)
        .with_context(|| format!("cannot set mode {mode:?}"))?;
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    let before = Stats::read()?;
    let mut attached = Vec::new();
    for (what, name) in PROGRAMS {
        let program = bulk.attach(what, false, functions.named(name)?)?;
        attached.push(program.with_context(|| format!("{what:?} on {name}"))?);
    }
    let counted = before.since()?;
    attached[0].test_run()?;
    for program in &attached {
        let seen = bulk.seen_by(program)?;
        let halves = program.what.halves();
        check_eq!((seen.entries, seen.returns), halves, "runs of {program:?}");
    }
    bulk.check()?;

    counted.check_clean()?;
    let (built, compared) = match mode {
        Mode::Off => (0, 0),
        Mode::Shadow => (0, NR_LINKS),
        Mode::Takeover => (NR_LINKS, 0),
    };
    check_eq!(counted.get("built")?, built, "images built in {mode:?}");
    for counter in ["compared", "identical"] {
        let count = counted.get(counter)?;
        check_eq!(count, compared, "images {counter} in {mode:?}");
    }

    let session = env.log()?.load(
        Spec::new(Kind::Session, "bpf_fentry_test4")
            .cookie()
            .quiet(),
    )?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    session.test_run()?;
    let hits = session.hits()?;
    check_eq!(
        (hits.entry, hits.ret),
        (1, 1),
        "runs of the device's session"
    );
    Ok(())
}
