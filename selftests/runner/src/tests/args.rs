// SPDX-License-Identifier: GPL-2.0

//! Arguments by their number, and what the helpers say about a call.

use std::os::fd::AsFd;

use anyhow::{ensure, Result};

use super::onto::{words, Call};
use crate::bpf;
use crate::harness::{skip, Env};
use crate::kallsyms;
use crate::probe::{Event, Kind, Phase, Spec};
use crate::targets::sum;

tests! {
    args_0: "no arguments: ksys_setsid()",
    args_1: "bpf_get_func_arg(), _arg_cnt(), _ret(), 1 argument",
    args_2: "the same with 2 arguments",
    args_3: "the same with 3 arguments",
    args_4: "the same with 4 arguments",
    args_5: "the same with 5 arguments",
    args_6: "the same with 6 arguments, the last in a register",
    args_on_stack: "7 arguments, the last on the stack",
    args_typed: "six functions at once, arguments read from the context",
    args_in_registers: "0, 3 and 6 words, all bits of each",
    args_7: "7 words, one on the stack",
    args_8: "8 words, two on the stack",
    args_9: "9 words, three on the stack",
    args_10: "10 words, four on the stack",
    args_11: "11 words, five on the stack",
    args_12: "12 words, as many as there can be",
    args_func_ip: "bpf_get_func_ip() gives the function in every kind",
    args_bpf_cookie: "bpf_get_attach_cookie(), immediates of every width",
}

fn args_0(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(
        Spec::new(Kind::Session, "ksys_setsid")
            .this_process()
            .cookie(),
    )?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    // The test leads a process group, so it may not start a session.
    let denied = rustix::process::setsid();
    tramp.remove(&session)?;

    check_eq!(denied, Err(rustix::io::Errno::PERM), "setsid()");
    let [entry, ret] = log.take_exactly()?;
    check_eq!(
        (entry.phase(), ret.phase()),
        (Phase::Entry, Phase::Return),
        "halves"
    );
    check_eq!((entry.nr_args, ret.nr_args), (0, 0), "number of arguments");
    check_eq!(
        (entry.ret, ret.ret_i32()),
        (0, -libc::EPERM),
        "return value by half"
    );
    Ok(())
}

fn args_1(env: &Env) -> Result<()> {
    args(env, "bpf_fentry_test1", &[1], 2)
}

fn args_2(env: &Env) -> Result<()> {
    args(env, "bpf_fentry_test2", &[2, 3], 5)
}

fn args_3(env: &Env) -> Result<()> {
    args(env, "bpf_fentry_test3", &[4, 5, 6], 15)
}

fn args_4(env: &Env) -> Result<()> {
    args(env, "bpf_fentry_test4", &[7, 8, 9, 10], 34)
}

fn args_5(env: &Env) -> Result<()> {
    args(env, "bpf_fentry_test5", &[11, 12, 13, 14, 15], 65)
}

fn args_6(env: &Env) -> Result<()> {
    args(env, "bpf_fentry_test6", &[16, 17, 18, 19, 20, 21], 111)
}

/// Every kind of program on `target`, which the kernel calls with `args` and
/// which must still get them and return `ret`.
fn args(env: &Env, target: &str, args: &[u64], ret: i32) -> Result<()> {
    let log = env.log()?;
    let tramp = env.trampoline()?;
    let fentry = log.load(Spec::new(Kind::Fentry, target))?;
    let fexit = log.load(Spec::new(Kind::Fexit, target))?;
    let session = log.load(Spec::new(Kind::Session, target).cookie())?;

    for probe in [&fentry, &fexit, &session] {
        tramp.add(probe)?;
        // The kernel itself checks what its test functions return.
        probe.test_run()?;
    }
    // 1 record, then 2, then 4.
    for event in log.take_exactly::<7>()? {
        saw(&event, args, if event.id == fentry.id { 0 } else { ret })?;
    }
    tramp.remove(&session)?;
    tramp.remove(&fexit)?;
    tramp.remove(&fentry)
}

fn saw(event: &Event, args: &[u64], ret: i32) -> Result<()> {
    check_eq!(event.nr_args as usize, args.len(), "number of arguments");
    check_eq!(event.args[..args.len()], *args, "arguments");
    ensure!(
        event.args[args.len()..].iter().all(|arg| *arg == 0),
        "an argument past the last: {:x?}",
        event.args
    );
    if event.phase() == Phase::Return {
        check_eq!(event.ret_i32(), ret, "return value");
    } else {
        check_eq!(event.ret, 0, "return value at entry");
    }
    Ok(())
}

fn args_on_stack(env: &Env) -> Result<()> {
    const TARGET: &str = "bpf_modify_return_test2";
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    // Not attached, it only makes the kernel call the function.
    let caller = log.load(Spec::new(Kind::FmodRet, TARGET))?;
    let tramp = env.trampoline()?;
    match tramp.try_add(&session, 0) {
        Err(err) if err.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            return Err(skip("the builder does not cover arguments on the stack"));
        }
        result => result?,
    }
    tramp.check_image()?;
    caller.test_run()?;

    for event in log.take_exactly::<2>()? {
        let mut seen = event.args[..7].to_vec();
        // The second one is a pointer to a local variable.
        seen[1] = 0;
        check_eq!(event.nr_args, 7, "number of arguments");
        check_eq!(seen, [1, 0, 3, 4, 5, 6, 7], "arguments");
        if event.phase() == Phase::Return {
            check_eq!(event.ret_i32(), 29, "return value");
        }
    }
    Ok(())
}

fn number(env: &Env, nr: usize) -> Result<()> {
    let args = &words::<12>()[..nr];
    Call {
        function: &format!("args_{nr}"),
        words: args,
        args,
        ret: sum(args),
    }
    .check(env)
}

fn args_in_registers(env: &Env) -> Result<()> {
    [0, 3, 6].into_iter().try_for_each(|nr| number(env, nr))
}

fn args_7(env: &Env) -> Result<()> {
    number(env, 7)
}

fn args_8(env: &Env) -> Result<()> {
    number(env, 8)
}

fn args_9(env: &Env) -> Result<()> {
    number(env, 9)
}

fn args_10(env: &Env) -> Result<()> {
    number(env, 10)
}

fn args_11(env: &Env) -> Result<()> {
    number(env, 11)
}

fn args_12(env: &Env) -> Result<()> {
    number(env, 12)
}

fn args_typed(env: &Env) -> Result<()> {
    const SAW_BOTH: u32 = 1 | 2;
    let object = bpf::open(&env.bpf, "typed")?.load()?;
    // A trampoline has one target, so here are six of them.
    let mut attached = Vec::new();
    for nr in 1..=6 {
        let prog = bpf::fd(&object, &format!("args_{nr}"))?;
        let tramp = env.trampoline()?;
        tramp.try_add_fd(nr, prog.as_fd(), Kind::Session, 0)?;
        tramp.check_image()?;
        attached.push((tramp, prog));
    }
    bpf::test_run(attached[0].1.as_fd())?;

    let seen: [u32; 8] = bpf::globals(&object, ".bss")?;
    let mut expected = [SAW_BOTH; 8];
    (expected[0], expected[7]) = (0, 0);
    check_eq!(
        seen,
        expected,
        "halves that saw the right values, by arguments"
    );
    Ok(())
}

fn args_func_ip(env: &Env) -> Result<()> {
    const TARGET: &str = "bpf_fentry_test3";
    let address = kallsyms::address_of(TARGET)?;
    let log = env.log()?;
    let tramp = env.trampoline()?;
    let mut records = 0;
    for (kind, more) in [(Kind::Fentry, 1), (Kind::Fexit, 1), (Kind::Session, 2)] {
        // One without the address beside it, before and after.
        let plain = log.load(Spec::new(kind, TARGET).quiet())?;
        let probe = log.load(Spec::new(kind, TARGET).ip())?;
        tramp.add(&plain)?;
        tramp.add(&probe)?;
        probe.test_run()?;
        tramp.remove(&plain)?;
        probe.test_run()?;
        tramp.remove(&probe)?;
        records += 2 * more;
    }
    let events = log.take()?;
    check_eq!(events.len(), records, "number of records");
    for event in events {
        check_eq!(event.ip, address, "bpf_get_func_ip()");
    }
    Ok(())
}

fn args_bpf_cookie(env: &Env) -> Result<()> {
    const TARGET: &str = "bpf_fentry_test1";
    const COOKIES: [u64; 7] = [
        0,
        1,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0xffff_ffff_8000_0000,
        0x0123_4567_89ab_cdef,
    ];
    let log = env.log()?;
    let tramp = env.trampoline()?;
    let kinds = [Kind::Fentry, Kind::Session, Kind::Fexit];
    let mut probes = Vec::new();
    for (nr, cookie) in COOKIES.into_iter().enumerate() {
        let probe = log.load(Spec::new(kinds[nr % kinds.len()], TARGET))?;
        tramp.add_with_cookie(&probe, cookie)?;
        probes.push((probe, cookie));
    }
    probes[0].0.test_run()?;

    let events = log.take()?;
    for (probe, cookie) in &probes {
        let halves = if probe.kind == Kind::Session { 2 } else { 1 };
        let seen: Vec<_> = events
            .iter()
            .filter(|event| event.id == probe.id)
            .map(|event| event.bpf_cookie)
            .collect();
        check_eq!(
            seen,
            vec![*cookie; halves],
            "cookie of {:?} {}",
            probe.kind,
            probe.id
        );
    }
    Ok(())
}
