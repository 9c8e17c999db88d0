// SPDX-License-Identifier: GPL-2.0

//! The order of programs on one function: the kernel puts the newest first, in
//! both lists. A session is in both.

use anyhow::Result;

use crate::attach::Trampoline;
use crate::harness::{skip, Env};
use crate::probe::{Kind, Log, Phase, Probe, Spec};

use Phase::{Entry, Return};

const TARGET: &str = "bpf_fentry_test2";
const MODIFY: &str = "bpf_modify_return_test";

tests! {
    order_sessions: "three sessions, the newest first in both halves",
    order_mixed: "sessions among fentry and fexit programs",
    order_removal: "programs removed one by one, from the middle on",
    order_readd: "a program that comes back is the newest",
    order_fmod_ret: "fmod_ret programs run after all entries",
    order_fmod_ret_skips: "a skipped function: sessions still see its return",
}

fn load(log: &Log, kinds: &[Kind], target: &str) -> Result<Vec<Probe>> {
    kinds
        .iter()
        .map(|kind| log.load(Spec::new(*kind, target).cookie_if(*kind == Kind::Session)))
        .collect()
}

/// The order in which `attached`, oldest first, must run.
fn expected(attached: &[&Probe]) -> Vec<(u32, Phase)> {
    let run = |kinds: &'static [Kind], phase| {
        attached
            .iter()
            .rev()
            .filter(|probe| kinds.contains(&probe.kind))
            .map(move |probe| (probe.id, phase))
    };
    run(&[Kind::Fentry, Kind::Session], Entry)
        .chain(run(&[Kind::FmodRet], Entry))
        .chain(run(&[Kind::Fexit, Kind::Session], Return))
        .collect()
}

fn order_sessions(env: &Env) -> Result<()> {
    order(env, &[Kind::Session, Kind::Session, Kind::Session])
}

fn order_mixed(env: &Env) -> Result<()> {
    use Kind::{Fentry, Fexit, Session};
    order(env, &[Fentry, Session, Fexit, Session, Fexit, Fentry])
}

/// Attaches programs one after the other and looks at the order each time.
fn order(env: &Env, kinds: &[Kind]) -> Result<()> {
    let log = env.log()?;
    let probes = load(&log, kinds, TARGET)?;
    let tramp = env.trampoline()?;
    let mut attached = Vec::new();
    for probe in &probes {
        tramp.add(probe)?;
        attached.push(probe);
        probe.test_run()?;
        check_eq!(
            log.take_order()?,
            expected(&attached),
            "order of {}",
            attached.len()
        );
    }
    Ok(())
}

fn order_removal(env: &Env) -> Result<()> {
    use Kind::{Fentry, Fexit, Session};
    let log = env.log()?;
    let probes = load(
        &log,
        &[Session, Fentry, Session, Fexit, Session, Fexit],
        TARGET,
    )?;
    let tramp = env.trampoline()?;
    let mut attached: Vec<_> = probes.iter().collect();
    for probe in &probes {
        tramp.add(probe)?;
    }
    for at in [2, 3, 0, 1, 0, 0] {
        tramp.remove(attached.remove(at))?;
        probes[0].test_run()?;
        check_eq!(
            log.take_order()?,
            expected(&attached),
            "order of {}",
            attached.len()
        );
    }
    Ok(())
}

fn order_readd(env: &Env) -> Result<()> {
    let log = env.log()?;
    let probes = load(&log, &[Kind::Session, Kind::Session, Kind::Session], TARGET)?;
    let tramp = env.trampoline()?;
    let mut attached: Vec<_> = probes.iter().collect();
    for probe in &probes {
        tramp.add(probe)?;
    }
    for at in [1, 0, 2, 1] {
        let probe = attached.remove(at);
        tramp.remove(probe)?;
        tramp.add(probe)?;
        attached.push(probe);
        probes[0].test_run()?;
        check_eq!(log.take_order()?, expected(&attached), "order");
    }
    Ok(())
}

/// Attaches an fmod_ret program, which the builder may not cover yet.
fn add_fmod_ret(tramp: &Trampoline, probe: &Probe) -> Result<()> {
    match tramp.try_add(probe, 0) {
        Err(err) if err.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Err(skip("the builder does not cover fmod_ret programs"))
        }
        result => {
            result?;
            tramp.check_image()
        }
    }
}

fn order_fmod_ret(env: &Env) -> Result<()> {
    use Kind::{Fentry, Fexit, FmodRet, Session};
    let log = env.log()?;
    let probes = load(
        &log,
        &[FmodRet, Fentry, Session, FmodRet, Fexit, Session],
        MODIFY,
    )?;
    let tramp = env.trampoline()?;
    let mut attached = Vec::new();
    for probe in &probes {
        add_fmod_ret(&tramp, probe)?;
        attached.push(probe);
        probes[0].test_run()?;
        check_eq!(
            log.take_order()?,
            expected(&attached),
            "order of {}",
            attached.len()
        );
    }
    Ok(())
}

fn order_fmod_ret_skips(env: &Env) -> Result<()> {
    const VALUE: i32 = 1234;
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, MODIFY).cookie())?;
    let fexit = log.load(Spec::new(Kind::Fexit, MODIFY))?;
    let changes = log.load(Spec::new(Kind::FmodRet, MODIFY).modify_return(VALUE))?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    tramp.add(&fexit)?;
    add_fmod_ret(&tramp, &changes)?;

    // What the kernel adds up: the value, 29 from bpf_modify_return_test2(),
    // and in the high half how many of the two functions really ran.
    let retval = changes.test_run()?;
    check_eq!(
        retval,
        (1 << 16) | (VALUE as u32 + 29),
        "what the caller got"
    );
    let events = log.take()?;
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event.id, event.phase(), event.ret_i32()))
        .collect();
    check_eq!(
        seen,
        [
            (session.id, Entry, 0),
            (changes.id, Entry, 0),
            (fexit.id, Return, VALUE),
            (session.id, Return, VALUE),
        ],
        "records"
    );

    tramp.remove(&changes)?;
    check_eq!(
        changes.test_run()?,
        (2 << 16) | (4 + 29),
        "what the caller gets again"
    );
    Ok(())
}
