// SPDX-License-Identifier: GPL-2.0

//! Other users of the same function: kprobes and ftrace. Each works with the
//! programs there, whoever came first.

use anyhow::{ensure, Context, Result};

use super::onto::{spec, words};
use crate::harness::Env;
use crate::probe::{Kind, Phase};
use crate::targets::sum;
use crate::tracing::{read, replace, write};

const EVENT: &str = "rust_fsession_beside";

tests! {
    beside_kprobe: "a kprobe on the same function",
    beside_kretprobe: "a kretprobe on the same function",
    beside_function: "ftrace's function tracer",
    beside_graph: "ftrace's function graph tracer",
}

/// Another user of the function, until dropped.
enum Other {
    Kprobe,
    Tracer,
}

impl Other {
    fn kprobe(kind: &str) -> Result<Self> {
        write("kprobe_events", &format!("{kind}:{EVENT} targets_args_8\n"))?;
        let other = Self::Kprobe;
        write(&format!("events/kprobes/{EVENT}/enable"), "1")?;
        Ok(other)
    }

    fn tracer(name: &str) -> Result<Self> {
        let other = Self::Tracer;
        replace("set_ftrace_filter", "targets_args_8\n")?;
        write("current_tracer", name)?;
        write("tracing_on", "1")?;
        Ok(other)
    }

    /// How often it saw the function since it came.
    fn hits(&self) -> Result<usize> {
        match self {
            Self::Kprobe => {
                let profile = read("kprobe_profile")?;
                let line = profile.lines().find(|line| line.contains(EVENT));
                let hits = line.and_then(|line| line.split_whitespace().nth(1));
                Ok(hits.context("no line in kprobe_profile")?.parse()?)
            }
            Self::Tracer => {
                let trace = read("trace")?;
                let lines = trace.lines().filter(|line| !line.starts_with('#'));
                Ok(lines.filter(|line| line.contains("targets_args_8")).count())
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let cleaned = match self {
            Self::Kprobe => write(&format!("events/kprobes/{EVENT}/enable"), "0")
                .and_then(|()| write("kprobe_events", &format!("-:{EVENT}\n"))),
            Self::Tracer => {
                write("current_tracer", "nop").and_then(|()| replace("set_ftrace_filter", "\n"))
            }
        };
        cleaned.expect("what could be set up can be taken down");
    }
}

/// Programs and the other user come and go in every order.
fn beside(env: &Env, other: impl Fn() -> Result<Other>) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "args_8").cookie())?;
    let fentry = log.load(spec(Kind::Fentry, "args_8"))?;
    let args: [u64; 8] = words();
    let call = |records: usize| -> Result<()> {
        let ret = targets.call("args_8", &args)?;
        check_eq!(ret, sum(&args), "what the caller got");
        let events = log.take()?;
        check_eq!(events.len(), records, "number of records");
        for event in &events {
            check_eq!(event.args[..8], args, "arguments");
            if event.phase() == Phase::Return {
                check_eq!(event.ret, sum(&args), "return value");
            }
        }
        Ok(())
    };

    let first = other()?;
    let tramp = env.trampoline()?;
    for (nr, probe) in [&fentry, &session].into_iter().enumerate() {
        tramp.add(probe)?;
        let before = first.hits()?;
        call([1, 3][nr])?;
        check_eq!(first.hits()? - before, 1, "hits of who came first");
    }
    drop(first);
    call(3)?;
    let last = other()?;
    let before = last.hits()?;
    call(3)?;
    tramp.remove(&fentry)?;
    call(2)?;
    drop(tramp);
    call(0)?;
    let hits = last.hits()? - before;
    ensure!(hits == 3, "{hits} hits of who came last, not 3");
    Ok(())
}

fn beside_kprobe(env: &Env) -> Result<()> {
    beside(env, || Other::kprobe("p"))
}

fn beside_kretprobe(env: &Env) -> Result<()> {
    beside(env, || Other::kprobe("r"))
}

fn beside_function(env: &Env) -> Result<()> {
    beside(env, || Other::tracer("function"))
}

fn beside_graph(env: &Env) -> Result<()> {
    beside(env, || Other::tracer("function_graph"))
}
