// SPDX-License-Identifier: GPL-2.0

//! Other tracers on the functions that are hooked, and on what the module calls
//! them by. The module tells nobody apart by return addresses, which tracers
//! replace.

use std::os::fd::OwnedFd;

use anyhow::{ensure, Context, Result};
use libbpf_rs::btf::types::Func;
use libbpf_rs::btf::Btf;

use super::super::module::reload;
use super::{expect_works, NR_LINKS};
use crate::bpf;
use crate::harness::Env;
use crate::hooks::{Hooked, Mode, Stats};
use crate::kallsyms;
use crate::probe::{Kind, Log, Probe, Spec};
use crate::tracing::{Kretprobe, Tracer};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;

tests! {
    hooks_tracer_graph: "function_graph of all functions (under KASAN, of fewer)",
    hooks_tracer_function: "the function tracer sees each call once",
    hooks_tracer_wrapper: "programs and probes on the module's wrappers",
    hooks_tracer_entry: "programs and probes on what is hooked",
    hooks_tracer_before: "the same two, with the hooks coming last",
}

const MEASURE: &str = "arch_bpf_trampoline_size";
const BUILD: &str = "arch_prepare_bpf_trampoline";
const FIXUP: &str = "bpf_fixup_kfunc_call";
const ENTRIES: [&str; 3] = [MEASURE, BUILD, FIXUP];
const WRAPPERS: [&str; 3] = [
    "rf_arch_bpf_trampoline_size",
    "rf_arch_prepare_bpf_trampoline",
    "rf_bpf_fixup_kfunc_call",
];

const MODES: [Mode; 4] = [Mode::Shadow, Mode::Takeover, Mode::Off, Mode::Shadow];

/// All functions, where that ends in time.
fn graph_filter() -> &'static [&'static str] {
    if kallsyms::has_kasan() {
        &["*bpf*", "*ftrace*", "*tramp*", "*poke*", "vfs_*", "__x64_*"]
    } else {
        &[]
    }
}

fn hooks_tracer_graph(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Shadow)?;
    let tracer = Tracer::start("function_graph", graph_filter())?;
    for mode in MODES {
        expect_works(env, &hooked, mode)?;
    }
    // And hooks that come when the tracer is there.
    reload(env)?;
    for mode in MODES {
        expect_works(env, &hooked, mode)?;
    }
    drop(tracer);
    expect_works(env, &hooked, Mode::Takeover)
}

fn hooks_tracer_function(env: &Env) -> Result<()> {
    const PROGRAMS: [What; 4] = [What::Fentry, What::Fexit, What::Session, What::WithIp];
    let hooked = env.hook(Mode::Off)?;
    let functions = Functions::load()?;
    let target = functions.named("bpf_fentry_test1")?;
    let tracer = Tracer::start("function", &ENTRIES)?;
    let mut fixups = Vec::new();
    for mode in MODES {
        hooked.set(mode)?;
        let mut bulk = Bulk::load(&env.bpf)?;
        tracer.clear()?;
        let before = Stats::read()?;
        let mut attached = Vec::new();
        for what in PROGRAMS {
            attached.push(bulk.attach(what, false, target)??);
        }
        let counted = before.since()?;
        counted.check_clean()?;
        if mode == Mode::Shadow {
            let compared = counted.get("compared")?;
            check_eq!(compared, PROGRAMS.len() as u64, "images compared");
        }
        for function in [MEASURE, BUILD] {
            let calls = tracer.calls(function)?;
            check_eq!(calls, PROGRAMS.len(), "calls of {function}() in {mode:?}");
        }
        fixups.push(tracer.calls(FIXUP)?);
    }
    ensure!(fixups[0] > 0, "no call of {FIXUP}() was seen");
    ensure!(
        fixups.iter().all(|calls| *calls == fixups[0]),
        "{FIXUP}() was called {fixups:?} times for the same programs"
    );
    Ok(())
}

/// Two programs on a function, where the kernel's BTF describes it (it leaves out
/// what is defined twice, once weakly), and a probe.
struct Watcher {
    function: &'static str,
    programs: Option<Programs>,
    kretprobe: Kretprobe,
}

struct Programs {
    // Dropped before the programs.
    _links: [OwnedFd; 2],
    fexit: Probe,
    session: Probe,
}

impl Programs {
    fn new(log: &Log, function: &str) -> Result<Self> {
        let load = |kind| log.load(Spec::new(kind, function).this_process().quiet());
        let link = |probe: &Probe| {
            bpf::link(probe.fd(), probe.kind.attach_type(), 0)
                .with_context(|| format!("cannot attach {:?} to {function}()", probe.kind))
        };
        let (fexit, session) = (load(Kind::Fexit)?, load(Kind::Session)?);
        Ok(Self {
            _links: [link(&fexit)?, link(&session)?],
            fexit,
            session,
        })
    }
}

impl Watcher {
    fn all(log: &Log, functions: &[&'static str]) -> Result<Vec<Self>> {
        let btf = Btf::from_vmlinux().context("the kernel has no BTF")?;
        let new = |function: &&'static str| {
            let programs =
                WRAPPERS.contains(function) || btf.type_by_name::<Func<'_>>(function).is_some();
            Ok(Self {
                function,
                programs: programs.then(|| Programs::new(log, function)).transpose()?,
                kretprobe: Kretprobe::on(function)?,
            })
        };
        let watchers = functions.iter().map(new).collect::<Result<Vec<_>>>()?;
        ensure!(
            watchers.iter().any(|watcher| watcher.programs.is_some()),
            "the kernel's BTF has none of {functions:?}"
        );
        Ok(watchers)
    }

    /// What each part saw: the probe, the fexit program, both halves of the session.
    fn seen(&self) -> Result<Vec<u64>> {
        let mut seen = vec![self.kretprobe.hits()?];
        if let Some(programs) = &self.programs {
            let hits = programs.session.hits()?;
            seen.extend([programs.fexit.hits()?.ret, hits.entry, hits.ret]);
        }
        Ok(seen)
    }
}

/// The mode changes and programs come and go under the watchers' eyes.
fn watched(env: &Env, hooked: &Hooked, watchers: &[Watcher]) -> Result<()> {
    for mode in MODES {
        // The kernel builds images of programs on the entry points again when the hooks come
        // or go: they share the function with who changes its instruction pointer.
        hooked.set(mode)?;
        let before = watchers
            .iter()
            .map(Watcher::seen)
            .collect::<Result<Vec<_>>>()?;
        expect_works(env, hooked, mode)?;
        for (watcher, before) in watchers.iter().zip(before) {
            let after = watcher.seen()?;
            let both = after.iter().zip(&before);
            let seen: Vec<_> = both.map(|(after, before)| after - before).collect();
            println!("{mode:?}: {} {seen:?}", watcher.function);
            check_eq!(
                seen,
                vec![seen[0]; seen.len()],
                "calls of {}()",
                watcher.function
            );
            // How the module goes about it is its own business, but what the
            // kernel calls, it calls once.
            match watcher.function {
                MEASURE | BUILD => check_eq!(
                    seen[0],
                    NR_LINKS,
                    "calls of {}() for {NR_LINKS} links",
                    watcher.function
                ),
                FIXUP => ensure!(seen[0] > 0, "no call of {FIXUP}() in {mode:?}"),
                _ => (),
            }
        }
    }
    Ok(())
}

fn hooks_tracer_wrapper(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Shadow)?;
    let log = env.log()?;
    let watchers = Watcher::all(&log, &WRAPPERS)?;
    watched(env, &hooked, &watchers)
}

fn hooks_tracer_entry(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Shadow)?;
    let log = env.log()?;
    let watchers = Watcher::all(&log, &ENTRIES)?;
    watched(env, &hooked, &watchers)
}

fn hooks_tracer_before(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    for functions in [&ENTRIES, &WRAPPERS] {
        reload(env)?;
        let log = env.log()?;
        let watchers = Watcher::all(&log, functions)?;
        // Where a program is on a function already, the kernel builds that one's image again
        // for the hooks. Those calls are none of the links'.
        hooked.set(Mode::Shadow)?;
        watched(env, &hooked, &watchers)?;
        drop(watchers);
        expect_works(env, &hooked, Mode::Takeover)?;
    }
    Ok(())
}
