// SPDX-License-Identifier: GPL-2.0

//! Holds a task where the module writes code: the parameters of `rust_fsession_gate.ko`.

use std::fs::{self, File};
use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::{Context, Result};
use rustix::fs::FlockOperation;
use rustix::thread::gettid;

use super::lock::lock;

pub const MODULE: &str = "rust_fsession_gate";

/// The gate is shut for one task, until dropped.
#[must_use]
pub struct Gate {
    _lock: File,
}

impl Gate {
    /// Has a thread do something, and holds it where it writes code on the way.
    pub fn hold<'scope, T: Send + 'scope>(
        scope: &'scope Scope<'scope, '_>,
        act: impl FnOnce() -> T + Send + 'scope,
    ) -> Result<(Self, ScopedJoinHandle<'scope, T>)> {
        let (tell, task) = mpsc::channel();
        let (shut, is_shut) = mpsc::channel::<()>();
        let thread = scope.spawn(move || {
            let _ = tell.send(gettid());
            // Nothing comes, but the other end goes.
            let _ = is_shut.recv();
            act()
        });
        // There is one for all actors.
        let lock = lock("gate", FlockOperation::LockExclusive)?;
        let gate = Self { _lock: lock };
        set(task.recv()?.as_raw_nonzero().get())?;
        drop(shut);
        Ok((gate, thread))
    }

    /// Whether the task is there.
    pub fn holds(&self) -> Result<bool> {
        let path = path("held");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(text.trim() != "0")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        set(0).expect("the parameter may be written");
    }
}

fn path(name: &str) -> String {
    format!("/sys/module/{MODULE}/parameters/{name}")
}

fn set(task: i32) -> Result<()> {
    let path = path("task");
    fs::write(&path, task.to_string()).with_context(|| format!("cannot write to {path}"))
}
