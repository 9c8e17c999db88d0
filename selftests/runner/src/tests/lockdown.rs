// SPDX-License-Identifier: GPL-2.0

//! Lockdown (`kernel_lockdown(7)`): the module allows what the kernel allows for BPF. To
//! attach a loaded program, and to see its code and its address, is allowed in every mode:
//! what a program may read is decided when it is loaded. Of debugfs the kernel
//! opens only what can only be read.
//!
//! These tests come in this order, alone before a boot: nothing undoes lockdown.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

use super::addresses::Restrict;
use super::compare::{case, session, PAGE};
use crate::attach::{Trampoline, Via};
use crate::bpf;
use crate::device::Device;
use crate::harness::{skip, Env};
use crate::hooks::{self, Mode, Stats};
use crate::probe::{Kind, Probe, Spec};

tests! {
    lockdown_integrity: "programs are attached, mode is closed",
    lockdown_confidentiality: "the same, and code is shown as the kernel shows it",
}

const FILE: &str = "/sys/kernel/security/lockdown";
const TARGET: &str = "bpf_fentry_test1";

/// The file that says how far the kernel is locked down.
fn need_lockdown() -> Result<()> {
    if !Path::new(FILE).exists() {
        let mount = ["-t", "securityfs", "securityfs", "/sys/kernel/security"];
        // It says by itself what is wrong.
        let _ = Command::new("mount").args(mount).status();
    }
    match Path::new(FILE).exists() {
        true => Ok(()),
        false => Err(skip(
            "the kernel has no lockdown (CONFIG_SECURITY_LOCKDOWN_LSM)",
        )),
    }
}

fn lock_down(how: &str) -> Result<()> {
    fs::write(FILE, how).with_context(|| format!("cannot write {how} to {FILE}"))?;
    let now = fs::read_to_string(FILE)?;
    ensure!(now.contains(&format!("[{how}]")), "{FILE} says {now}");
    Ok(())
}

/// Attaches, looks at everything, detaches.
fn expect_works(device: &Device, probe: &Probe) -> Result<()> {
    let before = probe.hits()?.ret;
    device.add(probe.fd(), 0)?;
    probe.test_run()?;
    check_eq!(probe.hits()?.ret, before + 1, "runs of the session");
    let info = device.info()?;
    ensure!(info.is_identical(), "not the C builder's image: {info:?}");
    // What the kernel shows of jited programs, the device shows of its image.
    let jited = bpf::info(probe.fd())?.jited_prog_len;
    let shown = [jited != 0, info.image_addr != 0, device.image().is_ok()];
    check_eq!(shown, [true; 3], "shown by the kernel, in INFO, by read()");
    let progs = session();
    let (mut rust, mut case) = (vec![0u8; PAGE], case(&progs));
    case.rust_image = rust.as_mut_ptr() as u64;
    device.compare(&mut case)?;
    ensure!(rust.iter().any(|byte| *byte != 0), "no code in COMPARE");
    device.remove(probe.fd())?;
    probe.test_run()?;
    check_eq!(probe.hits()?.ret, before + 1, "runs when it is detached");
    Ok(())
}

/// The kernel opens what can only be read, and nothing else.
fn expect_files() -> Result<()> {
    for options in [File::options().read(true), File::options().write(true)] {
        check_errno!(options.open(hooks::MODE), EPERM, "opening mode");
    }
    check_eq!(hooks::mismatches()?, Vec::<String>::new(), "mismatches");
    let written = File::options().write(true).open(hooks::STATS);
    check_errno!(written, EPERM, "opening stats for writing");
    Ok(())
}

/// Locks down with everything in use, then uses all of it.
fn locked(env: &Env, how: &str) -> Result<()> {
    let _restrict = Restrict::usual()?;
    let log = env.log()?;
    let load = || log.load(Spec::new(Kind::Session, TARGET).quiet());
    let (attached, other) = (load()?, load()?);
    let before = env.device()?;
    before.add(attached.fd(), 0)?;
    lock_down(how)?;

    // What was there goes on.
    attached.test_run()?;
    check_eq!(attached.hits()?.ret, 1, "runs of what was attached before");
    before.remove(attached.fd())?;
    expect_works(&before, &other)?;
    // And can be had anew.
    expect_works(&env.device()?, &other)?;
    expect_files()?;
    let counted = Stats::read()?;
    let links = Trampoline::open(Via::Link)?;
    links.try_add(&other, 0)?;
    other.test_run()?;
    let counted = counted.since()?;
    counted.check_clean()?;
    ensure!(counted.get("built")? > 0, "the hooks built no image");
    Ok(())
}

fn lockdown_integrity(env: &Env) -> Result<()> {
    env.device()?;
    need_lockdown()?;
    // It stays when the file is closed, for both tests.
    hooks::write(Mode::Takeover.name())?;
    locked(env, "integrity")
}

fn lockdown_confidentiality(env: &Env) -> Result<()> {
    env.device()?;
    need_lockdown()?;
    locked(env, "confidentiality")?;
    // It is as locked as can be: this is what the kernel itself shows of its memory.
    check_errno!(File::open("/proc/kcore"), EPERM, "opening /proc/kcore");
    Ok(())
}
