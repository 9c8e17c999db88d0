// SPDX-License-Identifier: GPL-2.0

//! What the JIT compiler's settings change about programs on a trampoline.

use std::os::fd::AsFd;

use anyhow::{ensure, Context, Result};

use super::onto::{spec, Call};
use crate::bpf;
use crate::harness::{skip, Env};
use crate::probe::Kind;
use crate::sysctl::Sysctl;
use crate::targets::sum;

tests! {
    jit_harden: "bpf_jit_harden=2, constants are blinded",
    jit_off_fentry: "bpf_jit_enable=0, an interpreted fentry program",
    jit_off_fexit: "likewise a fexit program",
    jit_off_mixed: "interpreted programs among compiled ones",
    jit_off_kfunc: "bpf_jit_enable=0, kfuncs are refused",
}

/// Sets one of the settings, until dropped.
fn set(name: &str, value: &str) -> Result<Sysctl> {
    // Kernels that are built without the interpreter know no 0.
    match Sysctl::set(&format!("net/core/{name}"), value) {
        Err(err) if err.raw_os_error() == Some(libc::EINVAL) => {
            Err(skip(format!("{name} cannot be {value}")))
        }
        set => set.with_context(|| format!("cannot set {name} to {value}")),
    }
}

fn jit_off() -> Result<Sysctl> {
    set("bpf_jit_enable", "0")
}

fn jit_harden(env: &Env) -> Result<()> {
    let _harden = set("bpf_jit_harden", "2")?;
    let args: [u64; 8] = super::onto::words();
    Call {
        function: "args_8",
        words: &args,
        args: &args,
        ret: sum(&args),
    }
    .check(env)
}

/// A program of `interpreted.bpf.c`, which counts its runs.
struct Counting {
    object: libbpf_rs::Object,
    name: &'static str,
    kind: Kind,
}

impl Counting {
    fn load(env: &Env, kind: Kind) -> Result<Self> {
        let name = match kind {
            Kind::Fentry => "count_fentry",
            _ => "count_fexit",
        };
        let open = bpf::open(&env.bpf, "interpreted")?;
        let object = bpf::load_for(open, name, "targets_args_8")?;
        Ok(Self { object, name, kind })
    }

    fn add(&self, tramp: &crate::attach::Trampoline, id: u32) -> Result<()> {
        let prog = bpf::fd(&self.object, self.name)?;
        ensure!(
            bpf::info(prog.as_fd())?.jited_prog_len == 0,
            "the program was compiled"
        );
        tramp
            .try_add_fd(id, prog.as_fd(), self.kind, 0)
            .with_context(|| format!("cannot attach {}", self.name))?;
        tramp.check_image()
    }

    /// Runs, and the sum of the arguments that they saw.
    fn seen(&self) -> Result<[u64; 2]> {
        bpf::globals(&self.object, ".bss")
    }
}

const ARGS: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const CALL: Call<'_> = Call {
    function: "args_8",
    words: &ARGS,
    args: &ARGS,
    ret: 0,
};

/// What an interpreted program that ran `runs` times has seen.
fn expected(runs: u64) -> [u64; 2] {
    [runs, runs * ARGS.iter().sum::<u64>()]
}

fn interpreted(env: &Env, kind: Kind) -> Result<()> {
    let targets = env.targets()?;
    let _off = jit_off()?;
    let counting = Counting::load(env, kind)?;
    let tramp = env.trampoline()?;
    counting.add(&tramp, 0)?;
    for runs in 1..=3 {
        check_eq!(
            targets.call(CALL.function, &ARGS)?,
            sum(&ARGS),
            "return value"
        );
        check_eq!(counting.seen()?, expected(runs), "runs and arguments");
    }
    Ok(())
}

fn jit_off_fentry(env: &Env) -> Result<()> {
    interpreted(env, Kind::Fentry)
}

fn jit_off_fexit(env: &Env) -> Result<()> {
    interpreted(env, Kind::Fexit)
}

fn jit_off_mixed(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "args_8").cookie())?;
    let tramp = env.trampoline()?;
    let off = jit_off()?;
    let fentry = Counting::load(env, Kind::Fentry)?;
    let fexit = Counting::load(env, Kind::Fexit)?;
    drop(off);
    fentry.add(&tramp, 1000)?;
    tramp.add(&session)?;
    fexit.add(&tramp, 1001)?;
    let call = Call {
        ret: sum(&ARGS),
        ..CALL
    };
    for runs in 1..=3 {
        call.run(&targets, &log, 2)?;
        check_eq!(fentry.seen()?, expected(runs), "fentry: runs and arguments");
        check_eq!(fexit.seen()?, expected(runs), "fexit: runs and arguments");
    }
    Ok(())
}

fn jit_off_kfunc(env: &Env) -> Result<()> {
    env.targets()?;
    let log = env.log()?;
    let loads = |kind| log.load(spec(kind, "args_8"));
    {
        let _off = jit_off()?;
        // What is meant to fail is no news.
        libbpf_rs::set_print(None);
        ensure!(
            loads(Kind::Session).is_err(),
            "a program that calls kfuncs was loaded without the JIT"
        );
    }
    // With it, the same program is one like any other.
    let session = loads(Kind::Session)?;
    env.trampoline()?.add(&session)
}
