// SPDX-License-Identifier: GPL-2.0

//! Sleepable programs: they fault in user memory.

use anyhow::Result;

use super::asleep::{asleep, spec, userfault, TARGET, VALUE};
use crate::harness::Env;
use crate::probe::{Kind, Phase, Spec};

tests! {
    sleepable_fentry: "a sleepable fentry program faults in user memory",
    sleepable_fexit: "likewise a fexit program",
    sleepable_mixed: "sleepable programs among others",
}

fn faults(env: &Env, kind: Kind) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let probe = log.load(spec(kind, page.addr()))?;
    let tramp = env.trampoline()?;
    tramp.add(&probe)?;
    asleep(&page, || Ok(()))?;
    let [event] = log.take_exactly()?;
    check_eq!(event.user, VALUE, "user memory");
    Ok(())
}

fn sleepable_fentry(env: &Env) -> Result<()> {
    faults(env, Kind::Fentry)
}

fn sleepable_fexit(env: &Env) -> Result<()> {
    faults(env, Kind::Fexit)
}

fn sleepable_mixed(env: &Env) -> Result<()> {
    let page = userfault()?;
    let log = env.log()?;
    let plain = log.load(Spec::new(Kind::Session, TARGET).this_process().cookie())?;
    let sleeps = log.load(spec(Kind::Session, page.addr()).cookie())?;
    let fexit = log.load(Spec::new(Kind::Fexit, TARGET).this_process())?;
    let tramp = env.trampoline()?;
    for probe in [&plain, &sleeps, &fexit] {
        tramp.add(probe)?;
    }
    asleep(&page, || Ok(()))?;
    let events: [_; 5] = log.take_exactly()?;
    let order = events.each_ref().map(|event| (event.id, event.phase()));
    check_eq!(
        order,
        [
            (sleeps.id, Phase::Entry),
            (plain.id, Phase::Entry),
            (fexit.id, Phase::Return),
            (sleeps.id, Phase::Return),
            (plain.id, Phase::Return),
        ],
        "records"
    );
    super::cookie::check_cookies(&events, |id| id != fexit.id)
}
