// SPDX-License-Identifier: GPL-2.0

//! Closing descriptors while tasks sleep in the traced functions: whoever
//! closes them is not held up by each.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use super::{pause, wait_for};
use crate::device::Device;
use crate::harness::Env;
use crate::kallsyms;
use crate::kmod;
use crate::probe::{Kind, Probe, Spec};
use crate::targets::{sum, Targets};

tests! {
    close_each: "twenty descriptors, closed one by one",
    close_killed: "twenty descriptors of a process that is killed",
    close_signal: "a signal ends the wait of the last one",
    close_unused: "nothing uses the module once the last one is closed",
    close_waits: "the last one waits until its images are freed",
}

/// `targets_sleep_0()` and on.
const FUNCTIONS: u64 = 20;
/// What one descriptor may wait for, if it is the last one.
const MOST: Duration = Duration::from_secs(2);

/// One descriptor for each function, with a session there.
fn attach(env: &Env, functions: u64) -> Result<Vec<(Device, Probe)>> {
    let log = env.log()?;
    (0..functions)
        .map(|nr| {
            let target = format!("targets_sleep_{nr}");
            let session = log.load(Spec::new(Kind::Session, &target).this_process().quiet())?;
            let device = env.device()?;
            device.add(session.fd(), 0)?;
            Ok((device, session))
        })
        .collect()
}

/// Runs `body` while a task sleeps in each function.
fn while_asleep<T>(
    targets: &Targets,
    sessions: &[Probe],
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    thread::scope(|scope| {
        let sleepers: Vec<_> = (0..sessions.len() as u64)
            .map(|nr| {
                let call = move || targets.call(&format!("sleep_{nr}"), &[nr, nr]);
                scope.spawn(call)
            })
            .collect();
        let asleep = wait_for("all are asleep", || {
            let entered = sessions.iter().map(|session| Ok(session.hits()?.entry));
            Ok(entered.collect::<Result<Vec<_>>>()?.iter().all(|n| *n > 0))
        });
        let result = asleep.and_then(|()| body());
        let awake = sleepers.iter().any(|sleeper| sleeper.is_finished());
        for _ in &sleepers {
            targets.wake()?;
        }
        for (nr, sleeper) in sleepers.into_iter().enumerate() {
            let nr = nr as u64;
            let ret = sleeper.join().expect("a sleeper does not panic")?;
            let expected = sum(&[nr, nr]).wrapping_add(nr);
            check_eq!(ret, expected, "what sleeper {nr} got");
        }
        ensure!(!awake, "a task did not sleep");
        result
    })
}

/// Far less than each one after the other.
fn check_time(took: Duration) -> Result<()> {
    println!("{FUNCTIONS} descriptors closed in {took:.1?}");
    ensure!(
        took < MOST * FUNCTIONS as u32 / 2,
        "closing {FUNCTIONS} descriptors took {took:.1?}"
    );
    Ok(())
}

fn close_each(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let (devices, sessions): (Vec<_>, Vec<_>) = attach(env, FUNCTIONS)?.into_iter().unzip();
    while_asleep(&targets, &sessions, || {
        let start = Instant::now();
        drop(devices);
        check_time(start.elapsed())
    })
}

fn close_killed(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let (devices, sessions): (Vec<_>, Vec<_>) = attach(env, FUNCTIONS)?.into_iter().unzip();
    let mut child = {
        // Plain duplicates survive exec, the descriptors themselves do not.
        let inherited = devices.iter().map(|device| rustix::io::dup(device.as_fd()));
        let _inherited = inherited.collect::<Result<Vec<_>, _>>()?;
        Command::new("/proc/self/exe")
            .arg("--hold")
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start the process that holds the descriptors")?
    };
    while_asleep(&targets, &sessions, || {
        drop(devices);
        let start = Instant::now();
        child.kill()?;
        child.wait()?;
        check_time(start.elapsed())
    })
}

extern "C" fn ignore(_signal: libc::c_int) {}

fn close_signal(env: &Env) -> Result<()> {
    let handler = ignore as extern "C" fn(libc::c_int);
    // SAFETY: The handler does nothing.
    let before = unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    ensure!(before != libc::SIG_ERR, "no handler for SIGUSR1");
    let targets = env.targets()?;
    let (mut devices, sessions): (Vec<_>, Vec<_>) = attach(env, 1)?.into_iter().unzip();
    let device = devices.pop().context("one was opened")?;
    while_asleep(&targets, &sessions, || {
        let closed = AtomicBool::new(false);
        let took = thread::scope(|scope| {
            // SAFETY: Gives the calling thread's own number.
            let thread = unsafe { libc::pthread_self() };
            scope.spawn({
                let closed = &closed;
                move || {
                    // The first one may come too early.
                    while !closed.load(Relaxed) {
                        pause(Duration::from_millis(100));
                        // SAFETY: The thread waits for this one to end.
                        unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                    }
                }
            });
            let start = Instant::now();
            drop(device);
            let took = start.elapsed();
            closed.store(true, Relaxed);
            took
        });
        println!("closed in {took:.1?}");
        ensure!(
            took < MOST * 3 / 4,
            "closing took {took:.1?} in spite of a signal"
        );
        Ok(())
    })
}

fn close_unused(env: &Env) -> Result<()> {
    for _ in 0..10 {
        let (devices, sessions): (Vec<_>, Vec<_>) = attach(env, 2)?.into_iter().unzip();
        drop(sessions);
        let start = Instant::now();
        drop(devices);
        let (waited, references) = (start.elapsed(), kmod::references()?);
        ensure!(
            references == 0 || waited >= MOST,
            "after {waited:?} the module is in use {references} times"
        );
    }
    Ok(())
}

fn close_waits(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, "bpf_fentry_test1").quiet())?;
    for _ in 0..3 {
        let device = env.device()?;
        device.add(session.fd(), 0)?;
        session.test_run()?;
        let start = Instant::now();
        drop(device);
        let (waited, left) = (start.elapsed(), kallsyms::images()?);
        println!("waited {waited:?}");
        ensure!(
            left.is_empty() || waited >= MOST,
            "after {waited:?} there are {left:x?}"
        );
    }
    Ok(())
}
