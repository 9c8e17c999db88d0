// SPDX-License-Identifier: GPL-2.0

//! A function that is patched alive. The kernel lets only its own trampolines
//! share a function with a live patch.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::system::delete_module;

use super::onto::{spec, words};
use super::wait_for;
use crate::attach::Via;
use crate::harness::{skip, Env};
use crate::kmod;
use crate::probe::{Kind, Log};
use crate::targets::{sum, Targets};

const PATCH: &str = "rust_fsession_livepatch";
const SYSFS: &str = "/sys/kernel/livepatch/rust_fsession_livepatch";

tests! {
    livepatch_before: "a session on a function that is patched",
    livepatch_after: "a patch for a function with a session",
}

/// The patch, until dropped.
struct Patch;

impl Patch {
    fn load(env: &Env) -> Result<std::io::Result<Self>> {
        let path = env.other_module(PATCH);
        if !path.exists() {
            return Err(skip(format!("no {}, see --module", path.display())));
        }
        if let Err(err) = kmod::load(&path) {
            return Ok(Err(err));
        }
        let patch = Self;
        wait_for("every task has the patch", || {
            Ok(fs::read_to_string(format!("{SYSFS}/transition"))? == "0\n")
        })?;
        Ok(Ok(patch))
    }

    fn unload() -> Result<()> {
        fs::write(format!("{SYSFS}/enabled"), "0").context("cannot take the patch back")?;
        wait_for("no task has the patch", || Ok(!Path::new(SYSFS).exists()))?;
        let name = std::ffi::CString::new(PATCH)?;
        wait_for("the patch can be unloaded", || {
            Ok(delete_module(&name, libc::O_NONBLOCK).is_ok())
        })
    }
}

impl Drop for Patch {
    fn drop(&mut self) {
        Self::unload().expect("a patch can be taken back");
    }
}

/// Calls the function: a session, if it is there, sees what the caller gets.
fn call(targets: &Targets, log: &Log, patched: bool, session: bool) -> Result<()> {
    let args @ [a, b] = words();
    let expected = if patched {
        a.wrapping_sub(b)
    } else {
        sum(&args)
    };
    check_eq!(
        targets.call("patched", &args)?,
        expected,
        "what the caller got"
    );
    let returns: Vec<_> = log.take()?.iter().map(|event| event.ret).collect();
    let records = if session {
        vec![0, expected]
    } else {
        Vec::new()
    };
    check_eq!(returns, records, "return values by half");
    Ok(())
}

fn livepatch_before(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "patched").cookie())?;
    let tramp = env.trampoline()?;
    let patch = Patch::load(env)??;
    call(&targets, &log, true, false)?;
    if env.via == Via::Device {
        check_errno!(
            tramp.try_add(&session, 0),
            EBUSY,
            "adding to a patched function"
        );
        call(&targets, &log, true, false)?;
        drop(patch);
        tramp.add(&session)?;
    } else {
        tramp.add(&session)?;
        call(&targets, &log, true, true)?;
        drop(patch);
    }
    call(&targets, &log, false, true)
}

fn livepatch_after(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "patched").cookie())?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    call(&targets, &log, false, true)?;
    let patch = Patch::load(env)?;
    if env.via == Via::Device {
        check_errno!(patch, EBUSY, "patching a function of ours");
        call(&targets, &log, false, true)?;
    } else {
        let patch = patch?;
        call(&targets, &log, true, true)?;
        tramp.remove(&session)?;
        call(&targets, &log, true, false)?;
        tramp.add(&session)?;
        call(&targets, &log, true, true)?;
        drop(patch);
        call(&targets, &log, false, true)?;
    }
    tramp.remove(&session)?;
    call(&targets, &log, false, false)
}
