// SPDX-License-Identifier: GPL-2.0

//! The command that is traced.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{self, Child, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{pidfd_open, Pid, PidfdFlags};

use super::program::os_text;

pub struct Command {
    child: Child,
    pidfd: OwnedFd,
}

impl Command {
    /// Starts it. The program in `bpf/trace.bpf.c` knows it as a child of this process.
    ///
    /// What it writes to standard output goes to standard error if `keep_stdout`.
    pub fn start(command: &[String], keep_stdout: bool) -> Result<Self> {
        let (program, args) = command.split_first().context("no command")?;
        let mut command = process::Command::new(program);
        command.args(args);
        if keep_stdout {
            command.stdout(Stdio::from(io::stderr()));
        }
        let mut child = command
            .spawn()
            .map_err(|err| anyhow::anyhow!("cannot run {program}: {}", os_text(&err)))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid
            .context("a process without a number")
            .and_then(|pid| Ok(pidfd_open(pid, PidfdFlags::empty())?));
        match pidfd {
            Ok(pidfd) => Ok(Self { child, pidfd }),
            Err(err) => {
                // It must not go on unseen.
                let _ = child.kill();
                let _ = child.wait();
                Err(err.context("cannot follow the command"))
            }
        }
    }

    /// Ready for reading when the command has ended.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// None as long as it runs.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}
