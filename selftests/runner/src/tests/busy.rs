// SPDX-License-Identifier: GPL-2.0

//! A function has one direct call: whoever comes second is refused, and leaves
//! nothing behind.

use std::os::fd::OwnedFd;

use anyhow::{ensure, Result};

use super::wait_for;
use crate::bpf;
use crate::harness::Env;
use crate::kallsyms;
use crate::probe::{Kind, Log, Probe, Spec};

const TARGET: &str = "bpf_fentry_test1";

tests! {
    busy_link: "EBUSY on a function that a BPF link traces",
    busy_for_link: "a BPF link is refused on a function of ours",
    busy_beside_links: "BPF links come and go on another function",
    busy_device: "EBUSY on a function of another descriptor",
    busy_program: "EBUSY for a program that a BPF link has attached",
}

fn session(log: &Log) -> Result<Probe> {
    log.load(Spec::new(Kind::Session, TARGET).cookie().quiet())
}

fn link(probe: &Probe) -> std::io::Result<OwnedFd> {
    bpf::link(probe.fd(), probe.kind.attach_type(), 0)
}

fn runs(probe: &Probe) -> Result<u64> {
    probe.test_run()?;
    Ok(probe.hits()?.ret)
}

fn busy_link(env: &Env) -> Result<()> {
    let device = env.device()?;
    let log = env.log()?;
    let (theirs, ours) = (session(&log)?, session(&log)?);
    let held = link(&theirs)?;
    check_errno!(
        device.add(ours.fd(), 0),
        EBUSY,
        "adding to a function with a BPF link"
    );
    check_eq!(device.info()?.nr_progs(), 0, "programs after the error");
    check_eq!((runs(&theirs)?, ours.hits()?.ret), (1, 0), "runs");
    wait_for("the refused image is freed", || {
        Ok(kallsyms::images()?.is_empty())
    })?;

    drop(held);
    wait_for("the link is gone", || Ok(device.add(ours.fd(), 0).is_ok()))?;
    check_eq!(
        (runs(&ours)?, theirs.hits()?.ret),
        (1, 1),
        "runs after the link has gone"
    );
    Ok(())
}

fn busy_for_link(env: &Env) -> Result<()> {
    let device = env.device()?;
    let log = env.log()?;
    let (theirs, ours) = (session(&log)?, session(&log)?);
    device.add(ours.fd(), 0)?;
    let before = kallsyms::kernel_images()?;
    // Kernels with one ftrace_ops for all BPF trampolines say EINVAL here.
    let errno = link(&theirs).err().and_then(|err| err.raw_os_error());
    ensure!(
        matches!(errno, Some(libc::EBUSY | libc::EINVAL)),
        "a BPF link on a function of ours: {errno:?}"
    );
    // Images of earlier links may go meanwhile, but none may come.
    let after = kallsyms::kernel_images()?;
    ensure!(
        after.iter().all(|image| before.contains(image)),
        "an image of the refused link: {after:x?}"
    );
    check_eq!((runs(&ours)?, theirs.hits()?.ret), (1, 0), "runs");

    drop(device);
    let _held = link(&theirs)?;
    check_eq!(
        (runs(&theirs)?, ours.hits()?.ret),
        (1, 1),
        "runs after we have gone"
    );
    Ok(())
}

fn busy_beside_links(env: &Env) -> Result<()> {
    let device = env.device()?;
    let log = env.log()?;
    let ours = session(&log)?;
    let theirs = log.load(
        Spec::new(Kind::Session, "bpf_fentry_test2")
            .cookie()
            .quiet(),
    )?;
    let mut linked = 0;
    // Each comes and goes while the other is there, and while it is not.
    for round in 1..=3 {
        let held = link(&theirs)?;
        device.add(ours.fd(), 0)?;
        check_eq!(runs(&ours)?, 2 * round - 1, "runs beside a link");
        drop(held);
        linked += 1;
        check_eq!(runs(&ours)?, 2 * round, "runs after the link has gone");
        let held = link(&theirs)?;
        device.remove(ours.fd())?;
        runs(&theirs)?;
        linked += 1;
        drop(held);
        check_eq!(runs(&theirs)?, linked, "runs of the link's program");
    }
    Ok(())
}

fn busy_device(env: &Env) -> Result<()> {
    let (first, second) = (env.device()?, env.device()?);
    let log = env.log()?;
    let (holds, waits) = (session(&log)?, session(&log)?);
    first.add(holds.fd(), 0)?;
    check_errno!(
        second.add(waits.fd(), 0),
        EBUSY,
        "adding to a function of another one"
    );
    check_eq!(second.info()?.nr_progs(), 0, "programs after the error");
    check_eq!((runs(&holds)?, waits.hits()?.ret), (1, 0), "runs");

    first.remove(holds.fd())?;
    second.add(waits.fd(), 0)?;
    check_eq!(
        (runs(&waits)?, holds.hits()?.ret),
        (1, 1),
        "runs the other way round"
    );
    check_errno!(first.add(holds.fd(), 0), EBUSY, "adding back");
    Ok(())
}

fn busy_program(env: &Env) -> Result<()> {
    let device = env.device()?;
    let log = env.log()?;
    let session = session(&log)?;
    let held = link(&session)?;
    check_errno!(
        device.add(session.fd(), 0),
        EBUSY,
        "adding what a BPF link has attached"
    );
    ensure!(runs(&session)? == 1, "the link's program does not run");
    drop(held);
    Ok(())
}
