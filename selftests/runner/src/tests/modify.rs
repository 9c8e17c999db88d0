// SPDX-License-Identifier: GPL-2.0

//! fmod_ret programs: they may answer in the function's place.

use std::time::Duration;

use anyhow::Result;

use super::onto::spec;
use super::pause;
use crate::attach::Trampoline;
use crate::harness::Env;
use crate::probe::{Kind, Log, Phase, Probe};
use crate::targets::Targets;

use Phase::{Entry, Return};

const ANSWER: i32 = -77;

tests! {
    modify_skips: "the function does not run, returns are seen",
    modify_zero: "0 lets the function run",
    modify_first_answers: "the first answer counts, later programs do not run",
    modify_alone: "an fmod_ret program without any other",
    modify_stack: "8 arguments, skipped and not",
    modify_sleepable: "a sleepable fmod_ret program",
    modify_removed: "the function runs again once it is removed",
    modify_keeps_halves: "neither half of a session skips anything",
}

/// `targets_modify()` with programs on it.
struct Modified {
    targets: Targets,
    log: Log,
    tramp: Trampoline,
}

impl Modified {
    fn new(env: &Env) -> Result<Self> {
        Ok(Self {
            targets: env.targets()?,
            log: env.log()?,
            tramp: env.trampoline()?,
        })
    }

    fn add(&self, kind: Kind, answer: i32) -> Result<Probe> {
        let spec = spec(kind, "modify").cookie_if(kind == Kind::Session);
        let probe = self.log.load(spec.modify_return(answer))?;
        self.tramp.add(&probe)?;
        Ok(probe)
    }

    /// Calls the function with 123: what it gives, and whether it ran.
    fn call(&self) -> Result<(i32, bool)> {
        call(&self.targets, "modify", &[123, 456])
    }

    fn records(&self) -> Result<Vec<(u32, Phase, i32)>> {
        let events = self.log.take()?;
        Ok(events
            .iter()
            .map(|event| (event.id, event.phase(), event.ret_i32()))
            .collect())
    }
}

fn call(targets: &Targets, function: &str, words: &[u64]) -> Result<(i32, bool)> {
    let before = targets.call("modify_ran", &[])?;
    let ret = targets.call(function, words)?;
    let ran = targets.call("modify_ran", &[])? - before;
    check_eq!(ran & !1, 0, "runs of the function");
    Ok((ret as i32, ran == 1))
}

fn modify_skips(env: &Env) -> Result<()> {
    let on = Modified::new(env)?;
    let session = on.add(Kind::Session, 0)?;
    let modify = on.add(Kind::FmodRet, ANSWER)?;
    let fexit = on.add(Kind::Fexit, 0)?;
    let fentry = on.add(Kind::Fentry, 0)?;
    check_eq!(on.call()?, (ANSWER, false), "answer, function ran");
    check_eq!(
        on.records()?,
        [
            (fentry.id, Entry, 0),
            (session.id, Entry, 0),
            (modify.id, Entry, 0),
            (fexit.id, Return, ANSWER),
            (session.id, Return, ANSWER),
        ],
        "records"
    );
    Ok(())
}

fn modify_zero(env: &Env) -> Result<()> {
    let on = Modified::new(env)?;
    let session = on.add(Kind::Session, 0)?;
    let modify = on.add(Kind::FmodRet, 0)?;
    check_eq!(on.call()?, (123, true), "answer, function ran");
    check_eq!(
        on.records()?,
        [
            (session.id, Entry, 0),
            (modify.id, Entry, 0),
            (session.id, Return, 123),
        ],
        "records"
    );
    Ok(())
}

fn modify_first_answers(env: &Env) -> Result<()> {
    let on = Modified::new(env)?;
    // The newest runs first.
    let unheard = on.add(Kind::FmodRet, 1)?;
    let answers = on.add(Kind::FmodRet, ANSWER)?;
    let silent = on.add(Kind::FmodRet, 0)?;
    let session = on.add(Kind::Session, 0)?;
    check_eq!(on.call()?, (ANSWER, false), "answer, function ran");
    check_eq!(
        on.records()?,
        [
            (session.id, Entry, 0),
            (silent.id, Entry, 0),
            (answers.id, Entry, 0),
            (session.id, Return, ANSWER),
        ],
        "records"
    );
    on.tramp.remove(&answers)?;
    check_eq!(on.call()?, (1, false), "answer of the next one");
    check_eq!(on.records()?[2], (unheard.id, Entry, 0), "the next one");
    Ok(())
}

fn modify_alone(env: &Env) -> Result<()> {
    let on = Modified::new(env)?;
    let modify = on.add(Kind::FmodRet, ANSWER)?;
    check_eq!(on.call()?, (ANSWER, false), "answer, function ran");
    check_eq!(on.records()?, [(modify.id, Entry, 0)], "records");
    on.tramp.remove(&modify)?;
    let silent = on.add(Kind::FmodRet, 0)?;
    // Twice: what the last call returned must not be seen at the next entry.
    for _ in 0..2 {
        check_eq!(on.call()?, (123, true), "answer, function ran");
        check_eq!(on.records()?, [(silent.id, Entry, 0)], "records");
    }
    Ok(())
}

fn modify_stack(env: &Env) -> Result<()> {
    let on = Modified::new(env)?;
    let args: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 0xffff_fff8];
    let session = on.log.load(spec(Kind::Session, "modify_stack").cookie())?;
    on.tramp.add(&session)?;
    for (answer, expected) in [(0, (-8, true)), (ANSWER, (ANSWER, false))] {
        let modify = spec(Kind::FmodRet, "modify_stack").modify_return(answer);
        let modify = on.log.load(modify)?;
        on.tramp.add(&modify)?;
        let got = call(&on.targets, "modify_stack", &args)?;
        check_eq!(got, expected, "answer, function ran");
        let events: [_; 3] = on.log.take_exactly()?;
        for event in &events {
            check_eq!(event.args[..8], args, "arguments");
        }
        check_eq!(events[2].ret_i32(), expected.0, "return value");
        on.tramp.remove(&modify)?;
    }
    Ok(())
}

fn modify_sleepable(env: &Env) -> Result<()> {
    let value: u64 = 0x5566_7788;
    let on = Modified::new(env)?;
    let args: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
    let spec = spec(Kind::FmodRet, "modify_stack").modify_return(ANSWER);
    let modify = on.log.load(spec.sleepable(&raw const value as u64))?;
    on.tramp.add(&modify)?;
    let got = call(&on.targets, "modify_stack", &args)?;
    check_eq!(got, (ANSWER, false), "answer, function ran");
    let [event] = on.log.take_exactly()?;
    check_eq!(event.user, value, "user memory");
    Ok(())
}

fn modify_removed(env: &Env) -> Result<()> {
    let on = Modified::new(env)?;
    let session = on.add(Kind::Session, 0)?;
    for _ in 0..3 {
        let modify = on.add(Kind::FmodRet, ANSWER)?;
        check_eq!(on.call()?, (ANSWER, false), "answer, function ran");
        on.tramp.remove(&modify)?;
        check_eq!(on.call()?, (123, true), "answer, function ran");
        // For those who look at the old image.
        pause(Duration::from_millis(5));
    }
    let records = on.records()?;
    let returns: Vec<_> = records
        .iter()
        .filter(|(id, phase, _)| (*id, *phase) == (session.id, Return))
        .map(|(.., ret)| *ret)
        .collect();
    check_eq!(returns, [ANSWER, 123, ANSWER, 123, ANSWER, 123], "returns");
    Ok(())
}

fn modify_keeps_halves(env: &Env) -> Result<()> {
    let on = Modified::new(env)?;
    // What an image does with the 0 of a session must not look like an answer,
    // nor must what an answer left behind.
    let first = on.add(Kind::Session, 0)?;
    let modify = on.add(Kind::FmodRet, 0)?;
    let last = on.add(Kind::Session, 0)?;
    for _ in 0..2 {
        check_eq!(on.call()?, (123, true), "answer, function ran");
        check_eq!(
            on.records()?,
            [
                (last.id, Entry, 0),
                (first.id, Entry, 0),
                (modify.id, Entry, 0),
                (last.id, Return, 123),
                (first.id, Return, 123),
            ],
            "records"
        );
    }
    Ok(())
}
