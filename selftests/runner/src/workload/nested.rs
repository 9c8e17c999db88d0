// SPDX-License-Identifier: GPL-2.0

//! BPF programs on BPF programs: traced, replaced, tail-calling.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::{ensure, Context, Result};
use libbpf_rs::{Link, Object, ProgramInput};

use super::Report;
use crate::bpf;
use crate::harness::Env;

/// `enum nested_place`.
mod place {
    pub const SUB: usize = 0;
    pub const NEW_SUB: usize = 1;
    pub const TAIL: usize = 2;
    pub const TRACING_TAIL: usize = 3;
    pub const TRACED_TAIL: usize = 4;
    pub const ON_PLAIN: usize = 8;
    pub const ON_SUB: usize = 12;
    pub const ON_TAIL: usize = 16;
    pub const ON_CALLS_TAIL: usize = 20;
    pub const ON_NEW_SUB: usize = 24;
}

type Runs = [u64; 32];

/// fentry, fexit and a session, which has two halves.
const KINDS: u64 = 3;

pub fn run(env: &Env, report: &mut Report) -> Result<()> {
    let mains = Mains::load(env)?;
    mains.expect(42, 11)?;

    let on_mains = [
        mains.trace(env, "main_plain", "main_plain")?,
        mains.trace(env, "main_plain", "sub")?,
        mains.trace(env, "main_tail", "main_tail")?,
        mains.trace(env, "main_tail", "calls_tail")?,
    ];
    mains.expect(42, 11)?;
    let places = [
        place::ON_PLAIN,
        place::ON_SUB,
        place::ON_TAIL,
        place::ON_CALLS_TAIL,
    ];
    for (traced, place) in on_mains.iter().zip(places) {
        traced.expect_runs(place, 1)?;
    }
    report.attached(KINDS * on_mains.len() as u64);
    drop(on_mains);

    let replacing = mains.attach(env, "main_plain", "sub", |name| name == "new_sub")?;
    mains.expect(38, 11)?;
    let new_sub = Mains(replacing.object);
    let on_new_sub = new_sub.trace(env, "new_sub", "new_sub")?;
    mains.expect(38, 11)?;
    on_new_sub.expect_runs(place::ON_NEW_SUB, 1)?;
    let runs = new_sub.runs()?[place::NEW_SUB];
    ensure!(
        runs == 2,
        "what replaces a function ran {runs} times, not 2"
    );
    report.attached(KINDS + 1);
    // A replacement is a jump and has no image.
    report.images -= 1;
    drop(on_new_sub);
    drop(replacing.links);
    mains.expect(42, 11)?;

    mains.tracing_tail()?;
    report.attached(1);
    let runs = mains.runs()?;
    ensure!(
        (runs[place::SUB], runs[place::TAIL]) == (3, 5),
        "a function ran {} times, not 3, a tail-called program {}, not 5",
        runs[place::SUB],
        runs[place::TAIL]
    );
    Ok(())
}

/// Programs on one function of a BPF program.
struct Tracing {
    object: Object,
    links: Vec<Link>,
}

impl Tracing {
    fn expect_runs(&self, place: usize, count: u64) -> Result<()> {
        let runs: Runs = bpf::globals(&self.object, ".bss")?;
        ensure!(
            runs[place..place + 4] == [count; 4],
            "fentry, fexit and session from place {place} ran {:?} times, not {count}",
            &runs[place..place + 4]
        );
        Ok(())
    }
}

/// The object with the BPF programs that are looked at.
pub struct Mains(pub Object);

impl Mains {
    pub fn load(env: &Env) -> Result<Self> {
        Ok(Self(bpf::open(&env.bpf, "nested")?.load()?))
    }

    fn runs(&self) -> Result<Runs> {
        bpf::globals(&self.0, ".bss")
    }

    /// Runs both programs.
    pub fn expect(&self, plain: u32, tail: u32) -> Result<()> {
        for (name, expected) in [("main_plain", plain), ("main_tail", tail)] {
            let mut found = self.0.progs_mut().filter(|prog| prog.name() == name);
            let prog = found.next().with_context(|| format!("no {name}"))?;
            let input = ProgramInput {
                data_in: Some(&[0; 64]),
                ..Default::default()
            };
            let output = prog.test_run(input)?;
            ensure!(
                output.return_value == expected,
                "{name} returns {} instead of {expected}",
                output.return_value
            );
        }
        Ok(())
    }

    /// Every kind of tracing program on `function` of the program `prog`.
    fn trace(&self, env: &Env, prog: &str, function: &str) -> Result<Tracing> {
        let kinds = ["fentry", "fexit", "session"].map(|kind| format!("{function}_{kind}"));
        self.attach(env, prog, function, |name| {
            kinds.iter().any(|kind| kind == name)
        })
    }

    fn attach(
        &self,
        env: &Env,
        prog: &str,
        function: &str,
        want: impl Fn(&str) -> bool,
    ) -> Result<Tracing> {
        let target = bpf::fd(&self.0, prog)?;
        let mut object = bpf::open(&env.bpf, "nesting")?;
        bpf::pick(&mut object, want);
        for mut tracing in object.progs_mut().filter(|prog| prog.autoload()) {
            tracing.set_attach_target(target.as_raw_fd(), Some(function.to_owned()))?;
        }
        let object = object
            .load()
            .with_context(|| format!("cannot load programs for {function} of {prog}"))?;
        let links = object
            .progs_mut()
            .filter(|prog| prog.autoload())
            .map(|tracing| tracing.attach())
            .collect::<libbpf_rs::Result<_>>()
            .with_context(|| format!("cannot attach to {function} of {prog}"))?;
        Ok(Tracing { object, links })
    }

    /// A tracing program that goes on in another one.
    fn tracing_tail(&self) -> Result<()> {
        let prog = bpf::fd(&self.0, "tracing_tail")?;
        let link = bpf::link(prog.as_fd(), libbpf_sys::BPF_TRACE_FENTRY, 0)?;
        bpf::test_run(prog.as_fd())?;
        drop(link);
        let runs = self.runs()?;
        ensure!(
            (runs[place::TRACING_TAIL], runs[place::TRACED_TAIL]) == (1, 1),
            "a tracing program and its tail call ran {} and {} times, not once",
            runs[place::TRACING_TAIL],
            runs[place::TRACED_TAIL]
        );
        Ok(())
    }
}
