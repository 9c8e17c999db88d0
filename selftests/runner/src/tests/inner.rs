// SPDX-License-Identifier: GPL-2.0

//! Programs that call their own target or go on in another program, and what
//! the kernel counts of them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use libbpf_rs::{MapCore, MapFlags, Object};

use crate::attach::Trampoline;
use crate::bpf;
use crate::harness::Env;
use crate::probe::{Kind, Spec};

tests! {
    inner_recursion_fentry: "a fentry program calls its target: one miss",
    inner_recursion_fexit: "likewise a fexit program",
    inner_recursion_session: "likewise a session: two misses in each half",
    inner_tail_fentry: "a fentry program goes on in another one",
    inner_tail_fexit: "likewise a fexit program",
    inner_tail_session: "likewise a session, in both halves",
    inner_stats_runs: "bpf_stats counts each half and times it",
    inner_stats_off: "without bpf_stats nothing is counted",
}

/// Runs at entry and at return, before and after a tail call.
type Runs = [u64; 4];

struct Attached {
    object: Object,
    prog: OwnedFd,
    _tramp: Trampoline,
}

fn attach(env: &Env, kind: Kind, name: &str, also: &str) -> Result<Attached> {
    let mut object = bpf::open(&env.bpf, "inner")?;
    bpf::pick(&mut object, |prog| prog == name || prog == also);
    let object = object.load()?;
    let prog = bpf::fd(&object, name)?;
    let tramp = env.trampoline()?;
    tramp
        .try_add_fd(0, prog.as_fd(), kind, 0)
        .with_context(|| format!("cannot attach {name}"))?;
    tramp.check_image()?;
    Ok(Attached {
        object,
        prog,
        _tramp: tramp,
    })
}

fn map<'a>(object: &'a Object, name: &str) -> Result<libbpf_rs::Map<'a>> {
    let found = object.maps().find(|map| map.name() == name);
    found.with_context(|| format!("the object has no map {name}"))
}

/// One deletion by this process, and those that programs make.
fn recursion(env: &Env, kind: Kind, name: &str, runs: Runs, misses: u64) -> Result<()> {
    let attached = attach(env, kind, name, "")?;
    let hash = map(&attached.object, "hash")?;
    let key = 0u32.to_ne_bytes();
    hash.update(&key, &[0; 4], MapFlags::ANY)?;
    hash.delete(&key).ok();
    let seen: Runs = bpf::globals(&attached.object, ".bss")?;
    check_eq!(seen, runs, "runs");
    let info = bpf::info(attached.prog.as_fd())?;
    check_eq!(info.recursion_misses, misses, "recursion_misses");
    Ok(())
}

fn inner_recursion_fentry(env: &Env) -> Result<()> {
    recursion(env, Kind::Fentry, "recurse_fentry", [1, 0, 0, 0], 1)
}

fn inner_recursion_fexit(env: &Env) -> Result<()> {
    recursion(env, Kind::Fexit, "recurse_fexit", [0, 1, 0, 0], 1)
}

fn inner_recursion_session(env: &Env) -> Result<()> {
    recursion(env, Kind::Session, "recurse_session", [1, 1, 0, 0], 4)
}

fn tail(env: &Env, kind: Kind, section: &str, runs: Runs) -> Result<()> {
    let (name, tailed) = (format!("tail_{section}"), format!("tailed_{section}"));
    let attached = attach(env, kind, &name, &tailed)?;
    bpf::test_run(attached.prog.as_fd())?;
    let seen: Runs = bpf::globals(&attached.object, ".bss")?;
    let first = [runs[0], runs[1], 0, 0];
    check_eq!(seen, first, "runs with nowhere to go on");

    let target = bpf::fd(&attached.object, &tailed)?;
    map(&attached.object, "next")?.update(
        &0u32.to_ne_bytes(),
        &target.as_raw_fd().to_ne_bytes(),
        MapFlags::ANY,
    )?;
    bpf::test_run(attached.prog.as_fd())?;
    let seen: Runs = bpf::globals(&attached.object, ".bss")?;
    let second = std::array::from_fn(|at| runs[at] + first[at]);
    check_eq!(seen, second, "runs with a program to go on in");
    Ok(())
}

fn inner_tail_fentry(env: &Env) -> Result<()> {
    tail(env, Kind::Fentry, "fentry", [1, 0, 1, 0])
}

fn inner_tail_fexit(env: &Env) -> Result<()> {
    tail(env, Kind::Fexit, "fexit", [0, 1, 0, 1])
}

fn inner_tail_session(env: &Env) -> Result<()> {
    tail(env, Kind::Session, "fsession", [1, 1, 1, 1])
}

const CALLS: u64 = 10;

/// `run_cnt` and `run_time_ns` of a session after some calls.
fn count(env: &Env) -> Result<(u64, u64)> {
    let log = env.log()?;
    let session = log.load(
        Spec::new(Kind::Session, "bpf_fentry_test6")
            .cookie()
            .quiet(),
    )?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    for _ in 0..CALLS {
        session.test_run()?;
    }
    check_eq!(session.hits()?.ret, CALLS, "runs");
    let info = bpf::info(session.fd())?;
    Ok((info.run_cnt, info.run_time_ns))
}

fn inner_stats_runs(env: &Env) -> Result<()> {
    let _stats = bpf::enable_stats()?;
    let begin = Instant::now();
    let (runs, time) = count(env)?;
    check_eq!(runs, 2 * CALLS, "run_cnt, both halves");
    let most = begin.elapsed().as_nanos();
    ensure!(
        time > 0 && u128::from(time) <= most,
        "run_time_ns is {time}, within {most} ns"
    );
    Ok(())
}

fn inner_stats_off(env: &Env) -> Result<()> {
    check_eq!(count(env)?, (0, 0), "run_cnt and run_time_ns");
    Ok(())
}
