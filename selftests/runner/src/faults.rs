// SPDX-License-Identifier: GPL-2.0

//! Kernel functions that fail: the parameters of `rust_fsession_faults.ko`.

use std::ffi::CStr;
use std::fs;

use anyhow::{Context, Result};

use crate::harness::{skip, Env};
use crate::kmod;

const NAME: &str = "rust_fsession_faults";
const C_NAME: &CStr = c"rust_fsession_faults";

/// Which calls of which function fail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault<'a> {
    pub function: &'a str,
    /// What they return.
    pub retval: i64,
    /// How many of them.
    pub times: u32,
    /// Only calls with this second argument, 0: all.
    pub second: u64,
    /// Only calls from this module, empty: all.
    pub caller: &'a str,
    /// Whether calls from other processes fail, too.
    pub everywhere: bool,
}

/// The module. Nothing fails any more when it is dropped.
#[must_use]
pub struct Faults(());

impl Faults {
    pub fn load(env: &Env) -> Result<Self> {
        let path = env.other_module(NAME);
        if !path.exists() {
            return Err(skip(format!("no {}, see --module", path.display())));
        }
        // A test that was killed may have left it.
        let _ = kmod::unload_other(C_NAME);
        kmod::load(&path).with_context(|| format!("cannot load {}", path.display()))?;
        Ok(Self(()))
    }

    /// Lets calls of one function fail from now on.
    pub fn inject(&self, fault: Fault<'_>) -> Result<()> {
        set("times", "0")?;
        set("function", fault.function)?;
        set("retval", &fault.retval.to_string())?;
        set("second", &fault.second.to_string())?;
        set("caller", fault.caller)?;
        let process = if fault.everywhere {
            0
        } else {
            std::process::id()
        };
        set("process", &process.to_string())?;
        set("times", &fault.times.to_string())
    }

    /// How many calls have not failed yet.
    pub fn left(&self) -> Result<u32> {
        let path = path("times");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(text.trim().parse()?)
    }

    /// No call fails any more.
    pub fn stop(&self) -> Result<()> {
        set("times", "0")?;
        set("function", "\n")
    }

    /// Turns ftrace off until the next boot, as the kernel does when it finds a
    /// fault of its own in there.
    pub fn kill_ftrace(&self) -> Result<()> {
        set("kill_ftrace", "1")
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        kmod::unload_other(C_NAME).expect("nobody else uses the module");
    }
}

fn path(name: &str) -> String {
    format!("/sys/module/{NAME}/parameters/{name}")
}

fn set(name: &str, value: &str) -> Result<()> {
    let path = path(name);
    // An empty write would not arrive.
    let value = if value.is_empty() { "\n" } else { value };
    fs::write(&path, value).with_context(|| format!("cannot write {value} to {path}"))
}
