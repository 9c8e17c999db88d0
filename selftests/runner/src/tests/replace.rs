// SPDX-License-Identifier: GPL-2.0

//! A function of a BPF program that is traced and replaced, in both orders.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::Object;

use crate::bpf;
use crate::harness::Env;
use crate::workload::nested::Mains;

tests! {
    replace_traced: "no replacement of a traced function, nor tracing after",
    replace_in_traced: "a function of a traced program, before and after",
    replace_by_traced: "a replacement is traced before it takes its place",
}

/// What `main_plain` returns with its own function, and with the other one.
const OWN: u32 = 42;
const REPLACED: u32 = 38;
/// And `main_tail`, always.
const TAIL: u32 = 11;

const TRACING: &[(&str, u32)] = &[
    ("fentry", libbpf_sys::BPF_TRACE_FENTRY),
    ("fexit", libbpf_sys::BPF_TRACE_FEXIT),
    ("session", libbpf_sys::BPF_TRACE_FSESSION),
];

/// Programs of `nesting.bpf.c` for a function of another program. The kernel lets
/// each be attached once.
struct Loaded {
    object: Object,
    progs: Vec<(OwnedFd, u32)>,
}

/// Attached programs; dropping them detaches them.
struct Attached {
    object: Object,
    _links: Vec<OwnedFd>,
}

impl Loaded {
    /// Those that trace `function` of `target`.
    fn tracing(env: &Env, target: BorrowedFd<'_>, function: &str) -> Result<Self> {
        let names = TRACING.iter();
        let names = names.map(|(kind, attach)| (format!("{function}_{kind}"), *attach));
        Self::new(env, target, function, &names.collect::<Vec<_>>())
    }

    /// What replaces `function` of `target`.
    fn replacing(env: &Env, target: BorrowedFd<'_>, function: &str) -> Result<Self> {
        // It has no kind of its own.
        Self::new(env, target, function, &[(format!("new_{function}"), 0)])
    }

    fn new(
        env: &Env,
        target: BorrowedFd<'_>,
        function: &str,
        names: &[(String, u32)],
    ) -> Result<Self> {
        let mut open = bpf::open(&env.bpf, "nesting")?;
        bpf::pick(&mut open, |name| names.iter().any(|(own, _)| own == name));
        for mut prog in open.progs_mut().filter(|prog| prog.autoload()) {
            prog.set_attach_target(target.as_raw_fd(), Some(function.to_owned()))?;
        }
        let object = open
            .load()
            .with_context(|| format!("cannot load programs for {function}"))?;
        let progs = names
            .iter()
            .map(|(name, kind)| Ok((bpf::fd(&object, name)?, *kind)));
        let progs = progs.collect::<Result<_>>()?;
        Ok(Self { object, progs })
    }

    /// Attaches each of them, or says why the first one is refused.
    fn attach(self) -> std::io::Result<Attached> {
        let links = self.progs.iter();
        let links = links.map(|(prog, attach_type)| bpf::link(prog.as_fd(), *attach_type, 0));
        let links = links.collect::<std::io::Result<_>>()?;
        Ok(Attached {
            object: self.object,
            _links: links,
        })
    }
}

impl Attached {
    /// All runs: of the programs that trace, or of the replacement.
    fn runs(&self) -> Result<u64> {
        let runs: [u64; 32] = bpf::globals(&self.object, ".bss")?;
        Ok(runs.iter().sum())
    }
}

/// fentry, fexit, and a session with its two halves.
const EACH: u64 = 4;

fn replace_traced(env: &Env) -> Result<()> {
    let mains = Mains::load(env)?;
    let main = bpf::fd(&mains.0, "main_plain")?;
    let tracing = || Loaded::tracing(env, main.as_fd(), "sub");
    let replacing = || Loaded::replacing(env, main.as_fd(), "sub");
    for _ in 0..2 {
        let traced = tracing()?.attach()?;
        check_errno!(replacing()?.attach(), EBUSY, "replacing what is traced");
        mains.expect(OWN, TAIL)?;
        check_eq!(traced.runs()?, EACH, "runs of those that trace");
        drop(traced);
        let replaced = replacing()?.attach()?;
        check_errno!(tracing()?.attach(), EBUSY, "tracing what is replaced");
        check_errno!(replacing()?.attach(), EBUSY, "replacing it again");
        mains.expect(REPLACED, TAIL)?;
        check_eq!(replaced.runs()?, 1, "runs of the replacement");
        drop(replaced);
        mains.expect(OWN, TAIL)?;
    }
    Ok(())
}

fn replace_in_traced(env: &Env) -> Result<()> {
    let mains = Mains::load(env)?;
    let main = bpf::fd(&mains.0, "main_plain")?;
    let trace = || Loaded::tracing(env, main.as_fd(), "main_plain");
    // Traced first and replaced then, and the other way round; each goes first once.
    let first = trace()?.attach()?;
    mains.expect(OWN, TAIL)?;
    let replaced = Loaded::replacing(env, main.as_fd(), "sub")?.attach()?;
    mains.expect(REPLACED, TAIL)?;
    check_eq!(first.runs()?, 2 * EACH, "runs of those that trace");
    drop(first);
    mains.expect(REPLACED, TAIL)?;
    let second = trace()?.attach()?;
    mains.expect(REPLACED, TAIL)?;
    check_eq!(second.runs()?, EACH, "runs of those that trace");
    check_eq!(replaced.runs()?, 3, "runs of the replacement");
    drop(replaced);
    mains.expect(OWN, TAIL)?;
    check_eq!(second.runs()?, 2 * EACH, "runs of those that trace");
    drop(second);
    mains.expect(OWN, TAIL)
}

fn replace_by_traced(env: &Env) -> Result<()> {
    let mains = Mains::load(env)?;
    let main = bpf::fd(&mains.0, "main_plain")?;
    let replacing = Loaded::replacing(env, main.as_fd(), "sub")?;
    let replacement = replacing.progs[0].0.try_clone()?;
    let trace = || Loaded::tracing(env, replacement.as_fd(), "new_sub");
    let first = trace()?.attach()?;
    mains.expect(OWN, TAIL)?;
    check_eq!(first.runs()?, 0, "runs before it takes its place");
    let replaced = replacing.attach()?;
    mains.expect(REPLACED, TAIL)?;
    check_eq!(first.runs()?, EACH, "runs of those that trace");
    drop(first);
    mains.expect(REPLACED, TAIL)?;
    let second = trace()?.attach()?;
    mains.expect(REPLACED, TAIL)?;
    check_eq!(second.runs()?, EACH, "runs of those that trace");
    check_eq!(replaced.runs()?, 3, "runs of the replacement");
    drop(replaced);
    mains.expect(OWN, TAIL)?;
    check_eq!(second.runs()?, EACH, "runs of those that trace");
    Ok(())
}
