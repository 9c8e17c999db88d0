// SPDX-License-Identifier: GPL-2.0

//! Detaching where something fails: a program that cannot be patched out of an
//! image that is still in use, an image that cannot be built.

use std::os::fd::OwnedFd;

use anyhow::{ensure, Result};
use rustix::event::{eventfd, EventfdFlags};

use super::{pause, settle, wait_for};
use crate::bpf;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::kmsg::{self, Kmsg};
use crate::probe::{Kind, Log, Probe, Spec};

tests! {
    skip_failed_remove: "a removed program that stays in an image is kept"
        warns ["cannot patch a program out of an image: EBUSY", "a program stays loaded"],
    skip_failed_close: "the same when the descriptor is closed"
        warns ["cannot patch a program out of an image: EBUSY", "a program stays loaded"],
    skip_no_image: "detached in the old image where there is no new one"
        warns ["detached without a new image: ENOMEM"],
    skip_not_added: "ENOMEM where there is no new one, all stays as it was",
}

/// `bpf_arch_text_poke()` fails for this process.
fn no_poke() -> Fault<'static> {
    Fault {
        function: "bpf_arch_text_poke",
        retval: -i64::from(libc::EBUSY),
        times: 1000,
        ..Default::default()
    }
}

/// A function in which a task can be kept waiting. It belongs to no module: a
/// program that stays loaded would hold that module for ever.
const TARGET: &str = "eventfd_read";

/// Calls the function; it waits until somebody writes.
fn read(event: &OwnedFd) -> Result<u64> {
    let mut value = [0; 8];
    rustix::io::read(event, &mut value)?;
    Ok(u64::from_ne_bytes(value))
}

fn write(event: &OwnedFd, value: u64) -> Result<()> {
    rustix::io::write(event, &value.to_ne_bytes())?;
    Ok(())
}

/// Runs `body` while a task is in the function, under `session`.
fn while_inside(event: &OwnedFd, session: &Probe, body: impl FnOnce() -> Result<()>) -> Result<()> {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(event));
        let result = wait_for("the function is entered", || Ok(session.hits()?.entry > 0))
            .and_then(|()| body());
        write(event, 7)?;
        let value = reader.join().expect("a reader does not panic")?;
        result?;
        check_eq!(value, 7, "what the caller got");
        Ok(())
    })
}

fn failed(env: &Env, close: bool) -> Result<()> {
    let event = eventfd(0, EventfdFlags::empty())?;
    let faults = Faults::load(env)?;
    let log = env.log()?;
    let spec = || Spec::new(Kind::Session, TARGET).this_process().quiet();
    let (goes, stays) = (log.load(spec())?, log.load(spec())?);
    let device = env.device()?;
    device.add(stays.fd(), 0)?;
    device.add(goes.fd(), 0)?;
    let id = goes.prog_id()?;
    let mut kmsg = Kmsg::open()?;
    let mut device = Some(device);
    while_inside(&event, &stays, || {
        faults.inject(no_poke())?;
        if close {
            device = None;
        } else if let Some(device) = &device {
            device.remove(goes.fd())?;
        }
        let left = faults.left()?;
        faults.stop()?;
        ensure!(left < 1000, "nothing was to be patched");
        drop(goes);
        settle()?;
        pause(std::time::Duration::from_millis(500));
        ensure!(
            bpf::prog_exists(id),
            "a program that an image still calls was freed"
        );
        Ok(())
    })?;
    let lines = kmsg.of_module()?;
    println!("{lines:?}");
    ensure!(
        lines.iter().any(|line| line.level <= kmsg::ERR),
        "no error in the kernel log: {lines:?}"
    );
    // Later calls do not come that way.
    let before = stays.hits()?;
    write(&event, 9)?;
    check_eq!(read(&event)?, 9, "a later call");
    let seen = stays.hits()?.ret - before.ret;
    check_eq!(seen, u64::from(!close), "returns of the program that stays");
    Ok(())
}

fn skip_failed_remove(env: &Env) -> Result<()> {
    failed(env, false)
}

fn skip_failed_close(env: &Env) -> Result<()> {
    failed(env, true)
}

/// There is no memory for the next image of this process.
fn no_image() -> Fault<'static> {
    Fault {
        function: "bpf_jit_charge_modmem",
        retval: -i64::from(libc::ENOMEM),
        times: 1,
        ..Default::default()
    }
}

fn quiet_session(log: &Log) -> Result<Probe> {
    log.load(
        Spec::new(Kind::Session, "bpf_fentry_test1")
            .cookie()
            .quiet(),
    )
}

fn skip_not_added(env: &Env) -> Result<()> {
    let faults = Faults::load(env)?;
    let log = env.log()?;
    let first = quiet_session(&log)?;
    let refused = quiet_session(&log)?;
    let third = quiet_session(&log)?;
    let device = env.device()?;
    let mut added = 0;
    // The first program of a trampoline, and one of several.
    for (program, runs) in [(&first, [1, 0, 0]), (&third, [2, 0, 1])] {
        faults.inject(no_image())?;
        check_errno!(device.add(refused.fd(), 0), ENOMEM, "adding");
        check_eq!(faults.left()?, 0, "allocations to fail");
        faults.stop()?;
        device.add(program.fd(), 0)?;
        added += 1;
        check_eq!(device.info()?.nr_progs(), added, "programs");
        first.test_run()?;
        let seen = [first.hits()?.ret, refused.hits()?.ret, third.hits()?.ret];
        check_eq!(seen, runs, "runs");
    }
    device.add(refused.fd(), 0)?;
    Ok(())
}

fn skip_no_image(env: &Env) -> Result<()> {
    let faults = Faults::load(env)?;
    let log = env.log()?;
    let (stays, goes) = (quiet_session(&log)?, quiet_session(&log)?);
    let device = env.device()?;
    device.add(stays.fd(), 0)?;
    device.add(goes.fd(), 0)?;
    let before = device.info()?;
    faults.inject(no_image())?;
    // `remove()` would miss the new image.
    device.remove_only(goes.fd())?;
    check_eq!(faults.left()?, 0, "allocations to fail");
    faults.stop()?;
    let after = device.info()?;
    check_eq!(
        (after.generation, after.image_addr, after.nr_progs()),
        (before.generation, before.image_addr, 1),
        "number and address of the image, programs"
    );
    stays.test_run()?;
    check_eq!((stays.hits()?.ret, goes.hits()?.ret), (1, 0), "runs");
    // Everything goes on as if nothing had been.
    device.add(goes.fd(), 0)?;
    stays.test_run()?;
    check_eq!((stays.hits()?.ret, goes.hits()?.ret), (2, 1), "runs again");
    device.remove(goes.fd())?;
    stays.test_run()?;
    check_eq!((stays.hits()?.ret, goes.hits()?.ret), (3, 1), "runs");
    Ok(())
}
