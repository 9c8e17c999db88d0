// SPDX-License-Identifier: GPL-2.0

//! The helpers that look at what the trampoline left for them, in every kind of
//! program.

use std::os::fd::AsFd;

use anyhow::{ensure, Context, Result};
use bytemuck::{Pod, Zeroable};

use super::onto::words;
use crate::attach::Trampoline;
use crate::bpf;
use crate::harness::Env;
use crate::kallsyms::{self, Kallsyms};
use crate::probe::Kind;
use crate::targets::Targets;

/// Eight arguments; it returns the last one.
const TARGET: &str = "targets_modify_stack";
const BPF_COOKIE: u64 = 0x1122_3344_5566_7788;

tests! {
    helpers_fentry: "all helpers in a fentry program",
    helpers_fexit: "all helpers in a fexit program",
    helpers_fmod_ret: "all helpers in an fmod_ret program",
    helpers_session: "all helpers in both halves of a session",
    helpers_sleepable: "all helpers in sleepable programs of every kind",
    helpers_together: "all kinds on one function at once",
    helpers_stack_fentry: "bpf_get_stack() through an image, fentry",
    helpers_stack_fexit: "likewise, fexit",
    helpers_stack_fmod_ret: "likewise, fmod_ret",
    helpers_stack_session: "likewise, both halves of a session",
}

/// `struct helpers_seen`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Seen {
    runs: u64,
    arg_cnt: u64,
    first_arg: u64,
    last_arg: u64,
    arg_past: i64,
    ret: u64,
    ret_result: i64,
    ip: u64,
    bpf_cookie: u64,
    is_return: u64,
    stack_len: i64,
    stack: [u64; 24],
}

/// What one program saw of one call, at entry and at return.
struct Looked {
    kind: Kind,
    halves: [Seen; 2],
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Fentry, "fentry"),
    (Kind::Fexit, "fexit"),
    (Kind::FmodRet, "fmod_ret"),
    (Kind::Session, "session"),
];

const NEGATIVE: u64 = 0xffff_ff85;

fn arguments() -> [u64; 8] {
    let mut args = words();
    args[7] = NEGATIVE;
    args
}

/// Has programs of these kinds look at one call.
fn look(env: &Env, kinds: &[Kind], sleepable: bool) -> Result<Vec<Looked>> {
    let targets = env.targets()?;
    let tramp = env.trampoline()?;
    let mut objects = Vec::new();
    for (id, kind) in (0..).zip(kinds) {
        objects.push((*kind, add(env, &tramp, id, *kind, sleepable)?));
    }
    call(&targets)?;
    objects
        .into_iter()
        .map(|(kind, object)| {
            let halves = bpf::globals(&object, ".bss")?;
            Ok(Looked { kind, halves })
        })
        .collect()
}

fn add(
    env: &Env,
    tramp: &Trampoline,
    id: u32,
    kind: Kind,
    sleepable: bool,
) -> Result<libbpf_rs::Object> {
    let named = KINDS.iter().find(|(other, _)| *other == kind);
    let (_, name) = named.context("not a kind")?;
    let name = format!("helpers_{name}{}", if sleepable { "_s" } else { "" });
    let mut open = bpf::open(&env.bpf, "helpers")?;
    bpf::set_globals(&mut open, ".rodata.config", &std::process::id())?;
    let object = bpf::load_for(open, &name, TARGET)?;
    tramp
        .try_add_fd(id, bpf::fd(&object, &name)?.as_fd(), kind, BPF_COOKIE)
        .with_context(|| format!("cannot attach {name}"))?;
    tramp.check_image()?;
    Ok(object)
}

fn call(targets: &Targets) -> Result<()> {
    let ret = targets.call("modify_stack", &arguments())?;
    check_eq!(ret as u32, NEGATIVE as u32, "what the caller got");
    Ok(())
}

impl Looked {
    /// The halves in which the program ran, and whether each is a return.
    fn ran(&self) -> impl Iterator<Item = (&Seen, bool)> {
        let [entry, ret] = &self.halves;
        let (at_entry, at_return) = match self.kind {
            Kind::Fentry | Kind::FmodRet => (Some(entry), None),
            Kind::Fexit => (None, Some(ret)),
            Kind::Session => (Some(entry), Some(ret)),
        };
        let entry = at_entry.map(|seen| (seen, false));
        entry.into_iter().chain(at_return.map(|seen| (seen, true)))
    }

    fn check(&self, address: u64) -> Result<()> {
        let args = arguments();
        let runs: u64 = self.halves.iter().map(|seen| seen.runs).sum();
        check_eq!(runs as usize, self.ran().count(), "runs in either half");
        for (seen, is_return) in self.ran() {
            let what = format!("{:?}, return {is_return}", self.kind);
            check_eq!(seen.runs, 1, "runs, {what}");
            check_eq!(seen.is_return, u64::from(is_return), "half, {what}");
            check_eq!(seen.arg_cnt, 8, "bpf_get_func_arg_cnt(), {what}");
            check_eq!(seen.first_arg, args[0], "bpf_get_func_arg(0), {what}");
            check_eq!(seen.last_arg, args[7], "bpf_get_func_arg(7), {what}");
            check_eq!(
                seen.arg_past,
                -i64::from(libc::EINVAL),
                "bpf_get_func_arg(8), {what}"
            );
            let ret = if is_return { NEGATIVE as u32 } else { 0 };
            let result = match self.kind {
                Kind::Fentry => -i64::from(libc::EOPNOTSUPP),
                _ => 0,
            };
            check_eq!(seen.ret_result, result, "bpf_get_func_ret(), {what}");
            check_eq!(seen.ret as u32, ret, "return value, {what}");
            check_eq!(seen.ip, address, "bpf_get_func_ip(), {what}");
            check_eq!(seen.bpf_cookie, BPF_COOKIE, "BPF cookie, {what}");
        }
        Ok(())
    }

    /// The stack leads from the image to who called the function, and on.
    fn check_stack(&self, symbols: &Kallsyms) -> Result<()> {
        for (seen, is_return) in self.ran() {
            let bytes = usize::try_from(seen.stack_len);
            let len = bytes.with_context(|| format!("bpf_get_stack(): {}", seen.stack_len))? / 8;
            let names: Vec<_> = seen.stack[..len]
                .iter()
                .map(|addr| symbols.name(*addr).unwrap_or_default())
                .collect();
            let find = |prefix| {
                let found = names.iter().position(|name| name.starts_with(prefix));
                found.with_context(|| {
                    format!("no {prefix} at return {is_return}: {}", names.join(" "))
                })
            };
            let image = find("bpf_trampoline_")?;
            let caller = find("targets_ioctl")?;
            let syscall = find("entry_SYSCALL_64")?;
            ensure!(
                image < caller && caller < syscall,
                "out of order: {}",
                names.join(" ")
            );
        }
        Ok(())
    }
}

fn helpers(env: &Env, kinds: &[Kind], sleepable: bool) -> Result<()> {
    env.targets()?;
    let address = kallsyms::address_of(TARGET)?;
    let looked = look(env, kinds, sleepable)?;
    looked.iter().try_for_each(|looked| looked.check(address))
}

fn helpers_fentry(env: &Env) -> Result<()> {
    helpers(env, &[Kind::Fentry], false)
}

fn helpers_fexit(env: &Env) -> Result<()> {
    helpers(env, &[Kind::Fexit], false)
}

fn helpers_fmod_ret(env: &Env) -> Result<()> {
    helpers(env, &[Kind::FmodRet], false)
}

fn helpers_session(env: &Env) -> Result<()> {
    helpers(env, &[Kind::Session], false)
}

fn helpers_sleepable(env: &Env) -> Result<()> {
    helpers(env, &KINDS.map(|(kind, _)| kind), true)
}

fn helpers_together(env: &Env) -> Result<()> {
    helpers(env, &KINDS.map(|(kind, _)| kind), false)
}

fn stack(env: &Env, kind: Kind) -> Result<()> {
    let targets = env.targets()?;
    let tramp = env.trampoline()?;
    let object = add(env, &tramp, 0, kind, false)?;
    call(&targets)?;
    let halves = bpf::globals(&object, ".bss")?;
    // While the image is there, it has a name.
    Looked { kind, halves }.check_stack(&Kallsyms::load()?)
}

fn helpers_stack_fentry(env: &Env) -> Result<()> {
    stack(env, Kind::Fentry)
}

fn helpers_stack_fexit(env: &Env) -> Result<()> {
    stack(env, Kind::Fexit)
}

fn helpers_stack_fmod_ret(env: &Env) -> Result<()> {
    stack(env, Kind::FmodRet)
}

fn helpers_stack_session(env: &Env) -> Result<()> {
    stack(env, Kind::Session)
}
