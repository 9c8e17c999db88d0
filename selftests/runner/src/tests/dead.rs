// SPDX-License-Identifier: GPL-2.0

//! ftrace is dead: it found a fault of its own and does nothing any more until
//! the next boot. What it has patched stays patched, so the hooks stay, and the
//! module with them.
//!
//! These tests come in this order, alone and last before a boot.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::{pause, wait_for};
use crate::bpf;
use crate::faults::Faults;
use crate::harness::Env;
use crate::hooks::{self, Mode, Stats};
use crate::kmod;
use crate::kmsg::Kmsg;
use crate::probe::{Kind, Spec};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;

tests! {
    dead_hooks: "the hooks answer on when ftrace has died",
    dead_add: "ENODEV for the device, and nothing is lost",
    dead_unload: "the module does not go under who is led into it"
        warns ["ftrace keeps the redirections", "ftrace is dead and leads into this module"],
}

const TARGET: &str = "bpf_fentry_test1";
const INITSTATE: &str = "/sys/module/rust_fsession/initstate";

/// Loads programs and tries to attach them. That may work or not; the kernel
/// must get through it.
fn load_and_attach(env: &Env) -> Result<()> {
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    for what in What::TRACING {
        let target = functions.named(TARGET)?;
        // Its kfuncs are inlined.
        let prog = bulk
            .load_for(what, false, target.id)
            .with_context(|| format!("cannot load {what:?}"))?;
        match bulk.attach(what, false, target)? {
            Ok(_) => println!("{what:?} was attached"),
            Err(err) => println!("{what:?} was not attached: {err}"),
        }
        bpf::test_run(prog.as_fd()).context("BPF_PROG_TEST_RUN")?;
    }
    bulk.check()
}

fn dead_hooks(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Takeover)?;
    let before = Stats::read()?;
    load_and_attach(env)?;
    ensure!(before.since()?.get("built")? > 0, "no image was built");
    let faults = Faults::load(env)?;
    faults.kill_ftrace()?;
    for mode in [Mode::Takeover, Mode::Shadow, Mode::Off] {
        hooked.set(mode)?;
        let before = Stats::read()?;
        load_and_attach(env)?;
        let counted = before.since()?;
        println!("{mode:?}: {counted}");
        counted.check_clean()?;
    }
    Ok(())
}

fn dead_add(env: &Env) -> Result<()> {
    let device = env.device()?;
    let session = env.log()?.load(Spec::new(Kind::Session, TARGET).quiet())?;
    for _ in 0..3 {
        check_errno!(device.add(session.fd(), 0), ENODEV, "adding");
        let info = device.info()?;
        check_eq!(
            (info.nr_progs(), info.generation, info.code_size),
            (0, 0, 0),
            "info"
        );
        check_errno!(device.remove(session.fd()), ENOENT, "removing");
    }
    session.test_run()?;
    check_eq!(session.hits()?.entry, 0, "runs");
    let id = session.prog_id()?;
    drop((device, session));
    wait_for("the program is freed", || Ok(!bpf::prog_exists(id)))
}

fn dead_unload(env: &Env) -> Result<()> {
    env.device()?;
    ensure!(hooks::mode()? == "off\n", "a mode is set");
    // The images of what was refused before have their grace periods.
    wait_for("the module is not in use", || Ok(kmod::references()? == 0))?;
    let mut kmsg = Kmsg::open()?;
    // Who unloads the module may not come back.
    let mut rmmod = Command::new("/proc/self/exe")
        .arg("--unload")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start another process")?;
    pause(Duration::from_secs(3));
    // Callers are still led into the module's code.
    load_and_attach(env)?;
    let ended = rmmod.try_wait()?;
    let state = std::fs::read_to_string(INITSTATE).unwrap_or_default();
    let lines = kmsg.of_module()?;
    println!("{state:?}, {lines:?}");
    ensure!(ended.is_none(), "the module was unloaded: {ended:?}");
    ensure!(Path::new(INITSTATE).exists(), "the module has gone");
    check_eq!(state, "going\n", "state of the module");
    ensure!(!lines.is_empty(), "nothing in the kernel log");
    ensure!(kmod::unload().is_err(), "the module was unloaded again");
    for _ in 0..10 {
        load_and_attach(env)?;
    }
    Ok(())
}
