// SPDX-License-Identifier: GPL-2.0

//! A program that cannot be patched out of an image that is still in use.

use anyhow::{ensure, Result};

use super::{pause, settle, wait_for};
use crate::bpf;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::kmsg::{self, Kmsg};
use crate::probe::{Kind, Probe, Spec};
use crate::targets::{sum, Targets};

tests! {
    skip_failed_remove: "a removed program that stays in an image is kept",
    skip_failed_close: "the same when the descriptor is closed",
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

fn sleep_under(
    targets: &Targets,
    session: &Probe,
    body: impl FnOnce() -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| targets.call("sleep", &[1, 2]));
        let result = wait_for("the function is entered", || Ok(session.hits()?.entry > 0))
            .and_then(|()| body());
        targets.wake()?;
        let ret = sleeper.join().expect("a sleeper does not panic")?;
        result?;
        check_eq!(ret, sum(&[1, 2]), "what the caller got");
        Ok(())
    })
}

fn failed(env: &Env, close: bool) -> Result<()> {
    let targets = env.targets()?;
    let faults = Faults::load(env)?;
    let log = env.log()?;
    let spec = || {
        Spec::new(Kind::Session, "targets_sleep")
            .this_process()
            .quiet()
    };
    let (goes, stays) = (log.load(spec())?, log.load(spec())?);
    let device = env.device()?;
    device.add(stays.fd(), 0)?;
    device.add(goes.fd(), 0)?;
    let id = goes.prog_id()?;
    let mut kmsg = Kmsg::open()?;
    let mut device = Some(device);
    sleep_under(&targets, &stays, || {
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
        lines.iter().any(|(level, _)| *level <= kmsg::ERR),
        "no error in the kernel log: {lines:?}"
    );
    // Later calls do not come that way.
    let before = stays.hits()?;
    targets.wake()?;
    check_eq!(
        targets.call("sleep", &[1, 2])?,
        sum(&[1, 2]),
        "a later call"
    );
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
