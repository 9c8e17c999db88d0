// SPDX-License-Identifier: GPL-2.0

//! Callbacks: those of timers and work queues end up in traced functions, those
//! of a session ask for its half and its cookie.

use std::fs;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use libbpf_rs::{Object, ProgramInput};

use super::cookie::check_cookies;
use super::onto::{spec, words, Call};
use super::wait_for;
use crate::bpf;
use crate::harness::{skip, Env};
use crate::probe::{Event, Kind, Log, Phase, Spec};
use crate::targets::sum;

tests! {
    callback_timer: "a timer's callback calls a traced function",
    callback_work: "likewise that of a work queue",
    callback_kfuncs: "session kfuncs in functions and in callbacks",
}

const TRACED: &str = "htab_map_delete_elem";

/// `.bss` up to the programs' private stacks.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Seen {
    fired: [u64; 2],
    failed: i64,
    /// By half: in a function, in a global one, in two callbacks, wrong answers.
    asked: [[u64; 5]; 2],
    /// By program: distance of the stack, runs by half, words that changed.
    pub private: [[u64; 4]; 2],
}

pub fn seen(object: &Object) -> Result<Seen> {
    bpf::globals(object, ".bss")
}

pub fn load(env: &Env, names: &[&str]) -> Result<Object> {
    let mut open = bpf::open(&env.bpf, "callback")?;
    bpf::pick(&mut open, |name| names.contains(&name));
    open.load()
        .with_context(|| format!("cannot load {names:?}"))
}

fn run(object: &Object, name: &str) -> Result<()> {
    let mut progs = object.progs_mut().filter(|prog| prog.name() == name);
    let prog = progs.next().with_context(|| format!("no {name}"))?;
    let output = prog.test_run(ProgramInput::default())?;
    check_eq!(output.return_value as i32, 0, "what {name} returns");
    Ok(())
}

/// The records of calls for this map: other programs may have maps, too.
fn of_map(log: &Log, map: u64) -> Result<Vec<Event>> {
    let mut events = log.take()?;
    events.retain(|event| event.args[0] == map);
    Ok(events)
}

fn from_callback(env: &Env, start: &str, nr: usize) -> Result<()> {
    const TIMES: u64 = 5;
    let object = load(env, &["call", start])?;
    let log = env.log()?;
    let tramp = env.trampoline()?;
    let sessions = [(); 2].map(|()| log.load(Spec::new(Kind::Session, TRACED).cookie()));
    for session in sessions {
        tramp.add(&session?)?;
    }
    // The first call tells which map it is.
    run(&object, "call")?;
    let map = log.take()?.first().context("no record of a call")?.args[0];
    for times in 1..=TIMES {
        run(&object, start)?;
        wait_for("the callback has run", || {
            Ok(seen(&object)?.fired[nr] == times)
        })?;
        let mut events = Vec::new();
        wait_for("the callback's call has returned", || {
            events.extend(of_map(&log, map)?);
            Ok(events.len() >= 4)
        })?;
        let order: Vec<_> = events.iter().map(Event::phase).collect();
        let [entry, back] = [Phase::Entry, Phase::Return];
        check_eq!(order, [entry, entry, back, back], "halves");
        check_cookies(&events, |_| true)?;
    }
    Ok(())
}

fn callback_timer(env: &Env) -> Result<()> {
    if fs::read_to_string("/proc/version")?.contains(" PREEMPT_RT ") {
        return Err(skip("PREEMPT_RT has no BPF timers"));
    }
    from_callback(env, "start_timer", 0)
}

fn callback_work(env: &Env) -> Result<()> {
    from_callback(env, "start_work", 1)
}

fn callback_kfuncs(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let object = load(env, &["kfuncs"])?;
    let prog = bpf::fd(&object, "kfuncs")?;
    let tramp = env.trampoline()?;
    let other = log.load(spec(Kind::Session, "args_8").cookie())?;
    tramp.add(&other)?;
    tramp.try_add_fd(1000, prog.as_fd(), Kind::Session, 0)?;
    tramp.check_image()?;
    let args: [u64; 8] = words();
    let call = Call {
        function: "args_8",
        words: &args,
        args: &args,
        ret: sum(&args),
    };
    for times in 1..=3 {
        call.run(&targets, &log, 2)?;
        let half = [times, times, 3 * times, 2 * times, 0];
        check_eq!(seen(&object)?.asked, [half, half], "who asked, by half");
    }
    Ok(())
}
