// SPDX-License-Identifier: GPL-2.0

//! Threads that go before all others.

use std::{fs, io};

use anyhow::{ensure, Result};

/// The calling thread goes before all that have less priority, and those that have none.
pub fn first(priority: i32) -> Result<()> {
    // SAFETY: All bytes zero are a `sched_param`.
    let mut param: libc::sched_param = unsafe { std::mem::zeroed() };
    param.sched_priority = priority;
    // SAFETY: The structure outlives the call, which is for this thread.
    let ret = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) };
    ensure!(
        ret == 0,
        "no real-time priority: {}",
        io::Error::last_os_error()
    );
    Ok(())
}

/// They need not leave a twentieth of a CPU to others, where the kernel can be told so.
pub fn without_limit(cpu: usize) {
    // Either exists, or both; the former counts by group only, or not at all.
    let _ = fs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1");
    let server = format!("/sys/kernel/debug/sched/fair_server/cpu{cpu}/runtime");
    let _ = fs::write(server, "0");
}
