// SPDX-License-Identifier: GPL-2.0

//! The module goes, the images that Rust built for the kernel stay.

use anyhow::{ensure, Context, Result};

use super::super::sleeper::{self, while_asleep};
use crate::bpf;
use crate::harness::{skip, Env};
use crate::hooks::{self, Hooked, Mode, Stats};
use crate::kmod;
use crate::probe::{Kind, Spec};
use crate::workload::bulk::{Attached, Bulk, What};
use crate::workload::functions::Functions;

tests! {
    hooks_unload: "images of a module that has gone still run",
    hooks_unload_sleeper: "a task sleeps in such an image meanwhile",
}

const TARGETS: [&str; 3] = [
    "bpf_fentry_test1",
    "bpf_fentry_test5",
    "bpf_modify_return_test2",
];

fn start(env: &Env) -> Result<Hooked> {
    if !env.module.exists() {
        return Err(skip(format!("no {}, see --module", env.module.display())));
    }
    env.hook(Mode::Takeover)
}

fn unload() -> Result<()> {
    kmod::unload().context("cannot unload the module while Rust images are in use")?;
    ensure!(!kmod::is_loaded(), "the module is still there");
    Ok(())
}

fn load(env: &Env) -> Result<()> {
    kmod::load(&env.module).with_context(|| format!("cannot load {}", env.module.display()))?;
    check_eq!(hooks::mode()?, "off\n", "mode after loading");
    Ok(())
}

/// Every program sees one call more.
fn call(bulk: &Bulk, attached: &[Attached], calls: u64) -> Result<()> {
    for what in [What::Fentry, What::FmodRet] {
        let mut found = attached.iter().filter(|program| program.what == what);
        found.next().context("every kind is attached")?.test_run()?;
    }
    for program in attached {
        let seen = bulk.seen_by(program)?;
        let (entries, returns) = program.what.halves();
        check_eq!(
            (seen.entries, seen.returns),
            (entries * calls, returns * calls),
            "calls of {program:?}"
        );
    }
    bulk.check()
}

fn hooks_unload(env: &Env) -> Result<()> {
    let hooked = start(env)?;
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    let before = Stats::read()?;
    let mut attached = Vec::new();
    for name in TARGETS {
        let target = functions.named(name)?;
        for what in What::TRACING {
            attached.push(bulk.attach(what, false, target)??);
        }
    }
    let target = functions.named(TARGETS[2])?;
    attached.push(bulk.attach(What::FmodRet, false, target)??);
    let counted = before.since()?;
    counted.check_clean()?;
    ensure!(
        counted.get("built")? >= attached.len() as u64,
        "not all images were built by Rust: {counted}"
    );
    call(&bulk, &attached, 1)?;

    unload()?;
    call(&bulk, &attached, 2)?;
    // From here on the kernel's own builder replaces Rust images, or patches
    // programs out of them.
    while let Some(at) = attached
        .iter()
        .rposition(|program| program.what == What::Session)
    {
        attached.remove(at);
    }
    call(&bulk, &attached, 3)?;
    load(env)?;
    call(&bulk, &attached, 4)?;
    hooked.set(Mode::Takeover)?;
    attached.push(bulk.attach(What::Session, false, functions.named(TARGETS[0])?)??);
    let last = attached.len() - 1;
    call(&bulk, &attached[..last], 5)?;
    check_eq!(
        bulk.seen_by(&attached[last])?.returns,
        1,
        "calls of a program of the new module"
    );
    unload()?;
    drop(attached);
    load(env)
}

fn hooks_unload_sleeper(env: &Env) -> Result<()> {
    let hooked = start(env)?;
    let log = env.log()?;
    let session = log.load(
        Spec::new(Kind::Session, sleeper::TARGET)
            .this_process()
            .cookie()
            .quiet(),
    )?;
    let before = Stats::read()?;
    let link = bpf::link(session.fd(), session.kind.attach_type(), 0)?;
    check_eq!(before.since()?.get("built")?, 1, "images");
    while_asleep(&session, unload)?;
    let hits = session.hits()?;
    check_eq!((hits.entry, hits.ret), (1, 1), "entries and returns");

    load(env)?;
    hooked.set(Mode::Takeover)?;
    // And once more, this time detached while the task sleeps.
    while_asleep(&session, || {
        drop(link);
        unload()
    })?;
    let hits = session.hits()?;
    check_eq!((hits.entry, hits.ret), (2, 1), "entries and returns");
    load(env)
}
