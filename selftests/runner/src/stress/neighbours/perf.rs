// SPDX-License-Identifier: GPL-2.0

//! Samples with stack traces, taken by a timer while images run.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

use crate::stress::board::Count;
use crate::stress::turn::Turn;

/// `struct perf_event_attr`, its first version.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample: u64,
    read: u64,
    flags: u64,
    wakeup: u32,
    bp: u32,
    config1: u64,
}

const SOFTWARE: u32 = 1;
const CPU_CLOCK: u64 = 0;
const SAMPLE_IP: u64 = 1;
const SAMPLE_TID: u64 = 2;
const SAMPLE_CALLCHAIN: u64 = 1 << 5;
const PAGES: usize = 9;
const PAGE: usize = 4096;

fn open(cpu: usize, period: u64) -> io::Result<OwnedFd> {
    let attr = Attr {
        kind: SOFTWARE,
        size: size_of::<Attr>() as u32,
        config: CPU_CLOCK,
        period,
        sample: SAMPLE_IP | SAMPLE_TID | SAMPLE_CALLCHAIN,
        ..Attr::default()
    };
    // SAFETY: `attr` is what the call takes and outlives it.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &attr,
            -1,
            cpu as libc::c_int,
            -1,
            0,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

pub fn missing() -> Option<String> {
    open(0, 1_000_000)
        .err()
        .map(|err| format!("no samples by time: {err}"))
}

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    while turn.next()? {
        let cpu = turn.draw.below(turn.stage.cpus);
        let period = 100_000 + turn.draw.below(900_000) as u64;
        turn.say(format!("sample CPU {cpu} every {period} ns"))?;
        let event = match open(cpu, period) {
            Ok(event) => event,
            // The CPU is away.
            Err(err) if err.raw_os_error() == Some(libc::ENODEV) => continue,
            Err(err) => return Err(err).context("perf_event_open()"),
        };
        // Without a buffer nothing is sampled. It is written over and over.
        // SAFETY: A new mapping of the event, which nobody else knows of.
        let buffer = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGES * PAGE,
                libc::PROT_READ,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        anyhow::ensure!(buffer != libc::MAP_FAILED, "{}", io::Error::last_os_error());
        turn.pause(600)?;
        // SAFETY: Made just now, and not looked at.
        unsafe { libc::munmap(buffer, PAGES * PAGE) };
        turn.count(Count::Actions, 1);
    }
    Ok(())
}
