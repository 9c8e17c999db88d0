// SPDX-License-Identifier: GPL-2.0

//! A function that is called all the time, from another CPU, while something is done to it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::Result;
use rustix::process::setpriority_process;
use rustix::thread::sched_getcpu;

use crate::tests::cookie::stay_on;

/// Before most others, so that the calls really are made meanwhile.
const NICE: i32 = -12;

/// Does `act` while another thread does `call` again and again.
pub fn meanwhile<T>(
    cpus: usize,
    call: impl Fn() -> Result<()> + Sync,
    act: impl FnOnce() -> T,
) -> Result<T> {
    let over = AtomicBool::new(false);
    let other = (sched_getcpu() + 1) % cpus;
    thread::scope(|scope| {
        let caller = scope.spawn(|| -> Result<()> {
            stay_on(other);
            setpriority_process(None, NICE)?;
            while !over.load(Relaxed) {
                call()?;
            }
            Ok(())
        });
        let value = act();
        over.store(true, Relaxed);
        caller.join().expect("a caller does not panic")?;
        Ok(value)
    })
}
