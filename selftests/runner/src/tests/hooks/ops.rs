// SPDX-License-Identifier: GPL-2.0

//! struct_ops that were registered on images of Rust: they live on when the module
//! goes, are replaced by others, and are taken back.

use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use libbpf_rs::{AsRawLibbpf, Link, MapCore, Object};

use super::super::module::reload;
use super::super::{pause, wait_for};
use crate::bpf;
use crate::harness::{skip, Env};
use crate::hooks::{Mode, Stats};
use crate::kmod;
use crate::workload::ops::{self, Calls, CONG_AVOID, INIT, RELEASE};

tests! {
    hooks_ops_unload: "a congestion control outlives the module",
    hooks_ops_update: "one is replaced by another, C's by Rust's and back",
    hooks_ops_sched: "a scheduler registered, the module gone, taken back",
}

/// Images of the congestion control: a program each.
const IMAGES: u64 = 5;

fn load(env: &Env) -> Result<Object> {
    bpf::open(&env.bpf, "ops")?
        .load()
        .context("cannot load the congestion control")
}

/// Two sockets talk, and `object` has every call of theirs that it must have.
fn expect_used(object: &Object) -> Result<()> {
    let calls = || bpf::globals::<Calls>(object, ".bss");
    let before = calls()?;
    ops::talk()?;
    let after = calls()?;
    for at in [INIT, RELEASE, CONG_AVOID] {
        ensure!(
            after[at] > before[at],
            "TCP did not make call {at}: {before:?}, then {after:?}"
        );
    }
    Ok(())
}

fn hooks_ops_unload(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Takeover)?;
    let mut object = load(env)?;
    let before = Stats::read()?;
    let link = ops::register(&mut object)?;
    let counted = before.since()?;
    check_eq!(counted.get("built")?, IMAGES, "images built");
    counted.check_clean()?;
    expect_used(&object)?;
    kmod::unload().context("cannot unload the module")?;
    expect_used(&object)?;
    drop(link);
    // While it is not registered, nobody can choose it.
    ensure!(ops::talk().is_err(), "it is still there");
    // By C, while there is no module, and taken back when there is one.
    let mut object = load(env)?;
    let link = ops::register(&mut object)?;
    kmod::load(&env.module)?;
    hooked.set(Mode::Takeover)?;
    expect_used(&object)?;
    drop(link);
    ensure!(ops::talk().is_err(), "it is still there");
    Ok(())
}

/// Puts the congestion control of `object` in the place of that behind `link`.
fn update(link: &Link, object: &Object) -> Result<()> {
    let mut maps = object.maps().filter(|map| map.name() == "counting_cc");
    let map = maps.next().context("no counting_cc")?;
    let map = map.as_libbpf_object().as_ptr();
    // SAFETY: Both are valid for the call, which keeps neither.
    let ret = unsafe { libbpf_sys::bpf_link__update_map(link.as_libbpf_object().as_ptr(), map) };
    bpf::check(ret).context("cannot update the link")?;
    Ok(())
}

fn hooks_ops_update(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    let mut first = load(env)?;
    let link = ops::register(&mut first)?;
    expect_used(&first)?;
    let mut objects = vec![first];
    for mode in [Mode::Takeover, Mode::Off, Mode::Shadow, Mode::Takeover] {
        hooked.set(mode)?;
        let next = load(env)?;
        let before = Stats::read()?;
        update(&link, &next)?;
        let counted = before.since()?;
        counted.check_clean()?;
        let (built, compared) = match mode {
            Mode::Off => (0, 0),
            Mode::Shadow => (0, IMAGES),
            Mode::Takeover => (IMAGES, 0),
        };
        check_eq!(counted.get("built")?, built, "images built in {mode:?}");
        check_eq!(counted.get("compared")?, compared, "compared in {mode:?}");
        expect_used(&next)?;
        let others = |objects: &[Object]| -> Result<Vec<Calls>> {
            let calls = objects.iter().map(|object| bpf::globals(object, ".bss"));
            calls.collect()
        };
        let before = others(&objects)?;
        expect_used(&next)?;
        check_eq!(
            others(&objects)?,
            before,
            "calls of those that were replaced"
        );
        objects.push(next);
        if mode == Mode::Shadow {
            reload(env)?;
            expect_used(objects.last().context("one was added")?)?;
        }
    }
    drop(link);
    ensure!(ops::talk().is_err(), "it is still there");
    Ok(())
}

/// enqueue, running, stopping, init, exit; then how it ended.
type Sched = [u64; 6];

fn hooks_ops_sched(env: &Env) -> Result<()> {
    const UNREGISTERED: u64 = 64;
    let _hooked = env.hook(Mode::Takeover)?;
    if !std::path::Path::new("/sys/kernel/sched_ext").exists() {
        return Err(skip("no schedulers of programs: CONFIG_SCHED_CLASS_EXT"));
    }
    let mut object = bpf::open(&env.bpf, "sched")?
        .load()
        .context("cannot load the scheduler")?;
    let before = Stats::read()?;
    let link = {
        let mut maps = object
            .maps_mut()
            .filter(|map| map.name() == "counting_sched");
        let mut map = maps.next().context("no counting_sched")?;
        map.attach_struct_ops()
            .context("cannot register the scheduler")?
    };
    let calls = || bpf::globals::<Sched>(&object, ".bss");
    // Everybody, this process too, is scheduled by it.
    let expect_scheduled = || -> Result<()> {
        let before = calls()?;
        check_eq!((before[3], before[4]), (1, 0), "init and exit");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| pause(Duration::from_millis(20)));
            }
        });
        wait_for("the scheduler is called", || {
            let after = calls()?;
            Ok((0..3).all(|at| after[at] > before[at]))
        })
    };
    expect_scheduled()?;
    let counted = before.since()?;
    println!("{counted}");
    ensure!(counted.get("built")? >= 5, "{counted}");
    counted.check_clean()?;
    kmod::unload().context("cannot unload the module")?;
    expect_scheduled()?;
    kmod::load(&env.module)?;
    expect_scheduled()?;
    drop(link);
    wait_for("the scheduler has gone", || Ok(calls()?[4] == 1))?;
    check_eq!(calls()?[5], UNREGISTERED, "how it ended");
    let last = calls()?;
    pause(Duration::from_millis(50));
    check_eq!(calls()?, last, "calls after it has gone");
    Ok(())
}
