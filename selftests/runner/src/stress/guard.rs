// SPDX-License-Identifier: GPL-2.0

//! Speaks for the process that watches all others, should that one hang: before the
//! first actor has begun and after the last one has ended, nobody else would.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use rustix::process::{getpid, kill_process, set_parent_process_death_signal, waitpid};
use rustix::process::{Pid, Signal, WaitOptions};

use super::board::{now, Board};
use super::stuck;

/// A process of its own, until dropped.
pub struct Guard(Pid);

impl Guard {
    /// Looks after the calling process, as [`Board::deadline()`] tells it.
    pub fn start(board: &Board) -> Result<Self> {
        let watched = getpid();
        // SAFETY: This process has one thread.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            look_after(board, watched);
            std::process::exit(0);
        }
        let err = std::io::Error::last_os_error();
        ensure!(pid > 0, "no new process: {err}");
        Ok(Self(Pid::from_raw(pid).context("no process has number 0")?))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
        let _ = waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// Ends when the process is late, or the board is gone.
fn look_after(board: &Board, watched: Pid) {
    let begin = Instant::now();
    while let Ok(notices) = board.notices() {
        if notices.deadline != 0 && now() > notices.deadline {
            println!(
                "stress: FAIL after {} s: it hangs itself:\n{}",
                begin.elapsed().as_secs(),
                stuck::report(watched)
            );
            return;
        }
        thread::sleep(Duration::from_secs(1));
    }
}
