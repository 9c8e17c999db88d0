// SPDX-License-Identifier: GPL-2.0

//! Differences between the builders: the parameters of `rust_fsession_plant.ko`.

use std::ffi::CStr;
use std::fs;

use anyhow::{ensure, Context, Result};

use crate::harness::{skip, Env};
use crate::kmod;

const NAME: &str = "rust_fsession_plant";
const C_NAME: &CStr = c"rust_fsession_plant";

/// What is changed in images that C builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The byte of this number.
    Code(u32),
    /// The program of the skip record of this number.
    Prog(u32),
    /// Where its nop is.
    Nop(u32),
    /// Where its jump goes.
    Target(u32),
    /// The last skip record is missing.
    Count,
    /// Where the frame pointer is set up.
    FpStart,
    /// And taken down.
    FpEnd,
    /// The size that C measures.
    Size,
    /// The first of the instructions that take the place of a kfunc.
    Kfunc,
    /// Nothing, but images are counted.
    Nothing,
}

impl What {
    /// How the module names the difference.
    pub fn told(self) -> String {
        match self {
            Self::Code(at) => format!("the code, from byte {at} on"),
            Self::Prog(_) | Self::Nop(_) | Self::Target(_) | Self::Count => {
                "the skip records".to_owned()
            }
            Self::FpStart | Self::FpEnd => "the range of the frame pointer".to_owned(),
            Self::Size => "it has".to_owned(),
            Self::Kfunc | Self::Nothing => "none".to_owned(),
        }
    }
}

/// The module. Nothing is changed any more when it is dropped.
#[must_use]
pub struct Plant(());

impl Plant {
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

    /// Runs `body`, in which C builds one image for this process, and changes that.
    pub fn one<T>(&self, what: What, body: impl FnOnce() -> Result<T>) -> Result<T> {
        let (value, planted) = self.count(what, body)?;
        ensure!(planted == 1, "{planted} images were changed: {what:?}");
        Ok(value)
    }

    /// Runs `body` and says as well how many images C has built for this process and were changed.
    pub fn count<T>(&self, what: What, body: impl FnOnce() -> Result<T>) -> Result<(T, u32)> {
        let (name, at) = match what {
            What::Code(at) => ("code", at),
            What::Prog(at) => ("prog", at),
            What::Nop(at) => ("nop", at),
            What::Target(at) => ("target", at),
            What::Count => ("count", 0),
            What::FpStart => ("fp_start", 0),
            What::FpEnd => ("fp_end", 0),
            What::Size => ("size", 0),
            What::Kfunc => ("kfunc", 0),
            What::Nothing => ("nothing", 0),
        };
        set("what", name)?;
        set("at", &at.to_string())?;
        let before = planted()?;
        set("process", &std::process::id().to_string())?;
        let result = body();
        set("process", "0")?;
        Ok((result?, planted()? - before))
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        kmod::unload_other(C_NAME).expect("nobody else uses the module");
    }
}

fn path(name: &str) -> String {
    format!("/sys/module/{NAME}/parameters/{name}")
}

fn planted() -> Result<u32> {
    let path = path("planted");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().parse()?)
}

fn set(name: &str, value: &str) -> Result<()> {
    let path = path(name);
    fs::write(&path, value).with_context(|| format!("cannot write {value} to {path}"))
}
