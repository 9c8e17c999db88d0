// SPDX-License-Identifier: GPL-2.0

//! What this thread runs, and how long it waits, where the TSC counts instructions.

use std::arch::x86_64::_rdtsc;

use rustix::time::{clock_gettime, ClockId};

pub struct Clock {
    tsc: u64,
    running: u64,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            tsc: tsc(),
            running: running(),
        }
    }

    /// Since then: on the CPU, and elsewhere. The former is the scheduler's clock, which
    /// has a nanosecond an instruction as well.
    pub fn stop(self) -> (u64, u64) {
        let running = running() - self.running;
        let all = tsc() - self.tsc;
        (running, all.saturating_sub(running))
    }
}

fn tsc() -> u64 {
    // SAFETY: Every x86-64 CPU has it, and the kernel lets user space read it.
    unsafe { _rdtsc() }
}

/// Nanoseconds.
fn running() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
