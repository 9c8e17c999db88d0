// SPDX-License-Identifier: GPL-2.0

//! `kernel.ftrace_enabled`: a function with a trampoline needs ftrace.
//!
//! Linux 7.3 refuses to turn ftrace off at all.

use std::io;

use anyhow::{ensure, Context, Result};

use super::module::reload;
use crate::device::{Device, Info};
use crate::harness::{skip, Env};
use crate::probe::{Kind, Spec};
use crate::sysctl::Sysctl;

const NAME: &str = "kernel/ftrace_enabled";

tests! {
    sysctl_refused: "ftrace stays on while a program is attached",
    sysctl_off: "nothing is attached while ftrace is off",
}

/// Turning ftrace off is refused, by the kernel to everybody or because of us.
pub fn expect_refused() -> Result<()> {
    let ftrace = Sysctl::keep(NAME)?;
    match ftrace.write("0") {
        Err(err) if err.raw_os_error() == Some(libc::EOPNOTSUPP) => (),
        result => check_errno!(result, EBUSY, "turning ftrace off"),
    }
    check_eq!(ftrace.read()?, "1", "{NAME}");
    Ok(())
}

/// ftrace turned off, until dropped.
pub struct Ftrace(Sysctl);

impl Ftrace {
    pub fn off() -> Result<Self> {
        match Sysctl::set(NAME, "0") {
            Err(err) if err.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                Err(skip("this kernel never turns ftrace off"))
            }
            set => Ok(Self(set.with_context(|| format!("cannot set {NAME}"))?)),
        }
    }

    pub fn on(self) -> io::Result<()> {
        self.0.write("1")
    }
}

fn expect_runs(device: &Device, session: &crate::probe::Probe, count: u64) -> Result<()> {
    session.test_run()?;
    let hits = session.hits()?;
    check_eq!(
        (hits.entry, hits.ret),
        (count, count),
        "entries and returns"
    );
    ensure!(device.info()?.is_identical(), "not the C builder's image");
    Ok(())
}

fn sysctl_refused(env: &Env) -> Result<()> {
    let device = env.device()?;
    let spec = Spec::new(Kind::Session, "bpf_fentry_test1").quiet();
    let session = env.log()?.load(spec)?;
    device.add(session.fd(), 0)?;
    expect_refused()?;
    expect_runs(&device, &session, 1)?;
    // Another image is swapped in by other means than the first one.
    let fexit = env
        .log()?
        .load(Spec::new(Kind::Fexit, "bpf_fentry_test1").quiet())?;
    device.add(fexit.fd(), 0)?;
    expect_refused()?;
    expect_runs(&device, &session, 2)
}

fn sysctl_off(env: &Env) -> Result<()> {
    // Hooks of an earlier test would keep ftrace on.
    reload(env)?;
    let device = env.device()?;
    let spec = Spec::new(Kind::Session, "bpf_fentry_test1").quiet();
    let session = env.log()?.load(spec)?;
    let off = Ftrace::off()?;
    for _ in 0..3 {
        check_errno!(
            device.add(session.fd(), 0),
            EBUSY,
            "adding while ftrace is off"
        );
        let Info {
            nr_fsession,
            generation,
            image_addr,
            ..
        } = device.info()?;
        check_eq!((nr_fsession, generation, image_addr), (0, 0, 0), "info");
    }
    off.on().context("cannot turn ftrace on again")?;
    session.test_run()?;
    check_eq!(session.hits()?.entry, 0, "runs of what was refused");
    device.add(session.fd(), 0)?;
    expect_runs(&device, &session, 1)
}
