// SPDX-License-Identifier: GPL-2.0

//! Programs that end by `bpf_throw()`: the kernel unwinds to the program's frame,
//! and the image goes on behind the call.

use std::os::fd::AsFd;

use anyhow::{Context, Result};
use libbpf_rs::Object;

use super::onto::{spec, words, Call};
use crate::bpf;
use crate::harness::{skip, Env};
use crate::probe::Kind;
use crate::targets::sum;

tests! {
    throw_fentry: "a fentry program ends by an exception",
    throw_fexit: "likewise a fexit program",
    throw_session: "likewise a session, in both halves",
    throw_deep: "likewise, thrown in a function of the program",
    throw_fmod_ret: "what an fmod_ret program throws is its answer",
}

/// `.bss` of the object: runs by half, then what should not run.
type Seen = [u64; 3];

fn load(env: &Env, name: &str, target: &str, depth: u32) -> Result<Object> {
    let mut open = bpf::open(&env.bpf, "throw")?;
    bpf::set_globals(&mut open, ".rodata.config", &depth)?;
    match bpf::load_for(open, name, target) {
        // As `bpf_jit_supports_exceptions()` has it.
        Err(err) if format!("{err:?}").contains("os error 524") => {
            Err(skip("no exceptions: the kernel has no ORC unwinder"))
        }
        object => object,
    }
}

/// A program that throws among others, which see what they always see.
fn among_others(env: &Env, kind: Kind, depth: u32) -> Result<()> {
    let (name, halves) = match kind {
        Kind::Fentry => ("throw_fentry", [1, 0]),
        Kind::Fexit => ("throw_fexit", [0, 1]),
        _ => ("throw_session", [1, 1]),
    };
    let targets = env.targets()?;
    let log = env.log()?;
    let tramp = env.trampoline()?;
    let object = load(env, name, "targets_args_8", depth)?;
    let prog = bpf::fd(&object, name)?;
    let others = [Kind::Session, Kind::Fexit, Kind::Session, Kind::Fentry]
        .map(|kind| log.load(spec(kind, "args_8").cookie_if(kind == Kind::Session)));
    let others = others.into_iter().collect::<Result<Vec<_>>>()?;
    tramp.add(&others[0])?;
    tramp.add(&others[1])?;
    tramp
        .try_add_fd(1000, prog.as_fd(), kind, 0)
        .with_context(|| format!("cannot attach {name}"))?;
    tramp.check_image()?;
    tramp.add(&others[2])?;
    tramp.add(&others[3])?;
    let args: [u64; 8] = words();
    let call = Call {
        function: "args_8",
        words: &args,
        args: &args,
        ret: sum(&args),
    };
    // Were the way out not complete, it would count as running for ever.
    for runs in 1..=3 {
        call.run(&targets, &log, 6)?;
        let seen: Seen = bpf::globals(&object, ".bss")?;
        check_eq!(
            seen,
            [runs * halves[0], runs * halves[1], 0],
            "runs by half, and behind the exception"
        );
    }
    check_eq!(bpf::misses(prog.as_fd())?, 0, "runs left out");
    tramp.try_remove_fd(1000, prog.as_fd())?;
    call.run(&targets, &log, 6)
}

fn throw_fentry(env: &Env) -> Result<()> {
    among_others(env, Kind::Fentry, 1)
}

fn throw_fexit(env: &Env) -> Result<()> {
    among_others(env, Kind::Fexit, 1)
}

fn throw_session(env: &Env) -> Result<()> {
    among_others(env, Kind::Session, 1)
}

fn throw_deep(env: &Env) -> Result<()> {
    among_others(env, Kind::Fentry, 2)?;
    among_others(env, Kind::Session, 2)
}

fn throw_fmod_ret(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let tramp = env.trampoline()?;
    let log = env.log()?;
    let object = load(env, "throw_fmod_ret", "targets_modify", 1)?;
    let prog = bpf::fd(&object, "throw_fmod_ret")?;
    let session = log.load(spec(Kind::Session, "modify").cookie())?;
    tramp.add(&session)?;
    tramp.try_add_fd(1000, prog.as_fd(), Kind::FmodRet, 0)?;
    tramp.check_image()?;
    let ran = targets.call("modify_ran", &[])?;
    for runs in 1..=3 {
        let ret = targets.call("modify", &[123, 456])?;
        check_eq!(ret as i32, -77, "what the caller got");
        let [entry, back] = log.take_exactly()?;
        check_eq!((entry.ret_i32(), back.ret_i32()), (0, -77), "return values");
        let seen: Seen = bpf::globals(&object, ".bss")?;
        check_eq!(seen, [runs, 0, 0], "runs, and behind the exception");
    }
    check_eq!(
        targets.call("modify_ran", &[])?,
        ran,
        "runs of the function"
    );
    Ok(())
}
