// SPDX-License-Identifier: GPL-2.0

//! Unloading and loading the module.

use std::path::Path;

use anyhow::{ensure, Context, Result};

use super::sleeper::{self, while_asleep};
use super::wait_for;
use crate::device::{Device, PATH};
use crate::faults::{Fault, Faults};
use crate::harness::{skip, Env};
use crate::kallsyms;
use crate::kmod;
use crate::probe::{Kind, Probe, Spec};

tests! {
    module_busy: "an open descriptor keeps the module",
    module_reload: "unload after close, load, attach again",
    module_unload_early: "unload right after close, images not freed yet",
    module_sleeper: "unload while a task sleeps in an image",
    module_probe: "no kprobe is armed when it is loaded",
    module_nothing_left: "no image is left over from any test",
}

fn start(env: &Env, target: &str) -> Result<(Device, Probe)> {
    let device = env.device()?;
    if !env.module.exists() {
        return Err(skip(format!("no {}, see --module", env.module.display())));
    }
    let session = env
        .log()?
        .load(Spec::new(Kind::Session, target).this_process().quiet())?;
    device.add(session.fd(), 0)?;
    Ok((device, session))
}

/// Unloads the module, which may have to wait for its last image.
pub fn unload() -> Result<()> {
    wait_for("the module can be unloaded", || match kmod::unload() {
        Ok(()) => Ok(true),
        Err(err) if err.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        Err(err) => Err(err).context("cannot unload the module"),
    })?;
    ensure!(!kmod::is_loaded(), "the module is still there");
    ensure!(!Path::new(PATH).exists(), "{PATH} is still there");
    check_eq!(kallsyms::images()?, [], "images after the module");
    Ok(())
}

/// A fresh module, whose hooks are not installed.
pub fn reload(env: &Env) -> Result<()> {
    if !env.module.exists() {
        return Err(skip(format!("no {}, see --module", env.module.display())));
    }
    unload()?;
    kmod::load(&env.module).with_context(|| format!("cannot load {}", env.module.display()))?;
    wait_for("the node is there", || Ok(Path::new(PATH).exists()))
}

/// Loads the module again, and shows that it works.
fn load(env: &Env, session: &Probe) -> Result<()> {
    kmod::load(&env.module).with_context(|| format!("cannot load {}", env.module.display()))?;
    wait_for("the node is there", || Ok(Path::new(PATH).exists()))?;
    let tramp = env.trampoline()?;
    tramp.add(session)?;
    tramp.remove(session)
}

fn module_busy(env: &Env) -> Result<()> {
    let (device, session) = start(env, "bpf_fentry_test1")?;
    check_errno!(
        kmod::unload(),
        EWOULDBLOCK,
        "unloading with an open descriptor"
    );
    let empty = env.device()?;
    drop(device);
    check_errno!(
        kmod::unload(),
        EWOULDBLOCK,
        "unloading with an empty trampoline"
    );
    empty.add(session.fd(), 0)?;
    session.test_run()?;
    check_eq!(session.hits()?.ret, 1, "runs after the refusal");
    Ok(())
}

fn module_reload(env: &Env) -> Result<()> {
    let (device, session) = start(env, "bpf_fentry_test1")?;
    drop(device);
    wait_for("the image is freed", || Ok(kallsyms::images()?.is_empty()))?;
    for _ in 0..3 {
        unload()?;
        load(env, &session)?;
    }
    Ok(())
}

fn module_unload_early(env: &Env) -> Result<()> {
    for _ in 0..3 {
        let (device, session) = start(env, "bpf_fentry_test1")?;
        session.test_run()?;
        drop(device);
        unload()?;
        load(env, &session)?;
    }
    Ok(())
}

fn module_sleeper(env: &Env) -> Result<()> {
    let (device, session) = start(env, sleeper::TARGET)?;
    while_asleep(&session, || {
        drop(device);
        // Refused while the task is in there, or gone without taking the image
        // from under it.
        match kmod::unload() {
            Ok(()) => Ok(()),
            result => {
                check_errno!(result, EWOULDBLOCK, "unloading under a sleeper");
                Ok(())
            }
        }
    })?;
    if kmod::is_loaded() {
        unload()?;
    }
    load(env, &session)
}

fn module_nothing_left(env: &Env) -> Result<()> {
    env.device()?;
    wait_for(
        "all images are freed",
        || Ok(kallsyms::images()?.is_empty()),
    )
}

/// To look up `kallsyms_lookup_name()` arms no kprobe: one that cannot be disarmed for lack
/// of memory would stay in the kernel when the module has forgotten it.
fn module_probe(env: &Env) -> Result<()> {
    env.device()?;
    let faults = Faults::load(env)?;
    unload()?;
    faults.inject(Fault {
        function: "unregister_ftrace_function",
        retval: -i64::from(libc::ENOMEM),
        times: 1,
        ..Fault::default()
    })?;
    let loaded = kmod::load(&env.module);
    let left = faults.left()?;
    faults.stop()?;
    loaded.with_context(|| format!("cannot load {}", env.module.display()))?;
    check_eq!(left, 1, "kprobes that were not disarmed");
    Ok(())
}
