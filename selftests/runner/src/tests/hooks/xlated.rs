// SPDX-License-Identifier: GPL-2.0

//! A program's instructions after the verifier, as bpftool shows them.

use std::os::fd::AsFd;

use anyhow::{ensure, Context, Result};

use crate::bpf;
use crate::harness::Env;
use crate::hooks::{Mode, Stats};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;

tests! {
    hooks_xlated: "the same instructions in every mode",
    hooks_xlated_count: "kfunc_inlined counts what was inlined only",
}

/// `BPF_JMP | BPF_CALL`, and what it calls.
const CALL: u8 = 0x85;
const PSEUDO_KFUNC_CALL: u8 = 2;

fn hooks_xlated(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    let functions = Functions::load()?;
    let bulk = Bulk::load(&env.bpf)?;
    let target = functions.named("bpf_fentry_test1")?.id;
    let before = Stats::read()?;
    let mut loaded = Vec::new();
    for mode in Mode::ALL {
        hooked.set(mode)?;
        let mut all = Vec::new();
        for what in What::TRACING {
            for sleepable in [false, true] {
                let prog = bulk
                    .load_for(what, sleepable, target)
                    .with_context(|| format!("cannot load {what:?} in {mode:?}"))?;
                all.push((what, bpf::xlated(prog.as_fd())?));
            }
        }
        let kprobe = bulk.load_kprobe_session()?;
        all.push((What::Session, bpf::xlated(kprobe.as_fd())?));
        loaded.push(all);
    }
    let counted = before.since()?;
    println!("{counted}");

    // Maps are shared, so there is nothing that differs from load to load.
    check_eq!(loaded[1], loaded[0], "instructions in mode shadow");
    check_eq!(loaded[2], loaded[0], "instructions in mode takeover");
    let (kprobe, sessions) = loaded[0].split_last().context("nothing was loaded")?;
    for (what, insns) in sessions {
        ensure!(
            !insns.iter().any(calls_kfunc),
            "{what:?} still calls a kfunc"
        );
    }
    ensure!(
        kprobe.1.iter().any(calls_kfunc),
        "a kprobe session calls no kfunc"
    );
    counted.check_up(&["kfunc_compared", "kfunc_inlined"])?;
    counted.check_clean()
}

fn hooks_xlated_count(env: &Env) -> Result<()> {
    let _hooked = env.hook(Mode::Takeover)?;
    let functions = Functions::load()?;
    let bulk = Bulk::load(&env.bpf)?;
    let target = functions.named("bpf_fentry_test1")?.id;

    let before = Stats::read()?;
    let kprobe = bulk.load_kprobe_session()?;
    let insns = bpf::xlated(kprobe.as_fd())?;
    ensure!(
        insns.iter().any(calls_kfunc),
        "a kprobe session calls no kfunc"
    );
    let counted = before.since()?;
    check_eq!(
        counted.get("kfunc_inlined")?,
        0,
        "inlined in a kprobe session"
    );
    counted.check_clean()?;

    let before = Stats::read()?;
    bulk.load_for(What::Session, false, target)?;
    let counted = before.since()?;
    ensure!(
        counted.get("kfunc_inlined")? > 0,
        "nothing was inlined in an fsession program: {counted}"
    );
    counted.check_clean()
}

fn calls_kfunc(insn: &[u8; 8]) -> bool {
    insn[0] == CALL && insn[1] >> 4 == PSEUDO_KFUNC_CALL
}
