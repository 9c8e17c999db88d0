// SPDX-License-Identifier: GPL-2.0

//! The end of a test in the kernel that was booted by it.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::thread;

use anyhow::{ensure, Context, Error, Result};

use crate::attach::{Trampoline, Via};
use crate::harness::Env;
use crate::hooks::{self, Mode};
use crate::probe::{Kind, Spec};

/// What `kexec_file_load()` writes into the boot parameters, where a boot loader
/// has a number of its own.
const LOADED_BY_KEXEC: &str = "208";

/// What was alive in the kernel before this one, in a word of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Images of the device.
    pub images: u64,
    /// Images that the hooks have built for links.
    pub built: u64,
    /// Tasks asleep in images.
    pub asleep: u64,
    /// Calls on each CPU.
    pub calls: Vec<u64>,
    pub boot_id: String,
}

impl Left {
    /// Everything that there should be.
    pub fn check(&self) -> Result<()> {
        check_eq!(
            (self.images, self.built, self.asleep),
            (4, 7, 4),
            "images of the device, images built for links, tasks asleep"
        );
        check_eq!(
            self.calls.len(),
            thread::available_parallelism()?.get(),
            "CPUs"
        );
        ensure!(
            self.calls.iter().all(|calls| *calls >= super::CALLS),
            "{:?} calls on the CPUs",
            self.calls
        );
        Ok(())
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<_> = self.calls.iter().map(u64::to_string).collect();
        write!(
            f,
            "images={},built={},asleep={},calls={},boot_id={}",
            self.images,
            self.built,
            self.asleep,
            calls.join("+"),
            self.boot_id
        )
    }
}

impl FromStr for Left {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let value = |name: &str| {
            let mut parts = text.split(',').filter_map(|part| part.split_once('='));
            let (_, value) = parts.find(|(key, _)| *key == name).context("it is cut")?;
            Ok::<_, Error>(value)
        };
        let calls = value("calls")?.split('+').map(str::parse);
        Ok(Self {
            images: value("images")?.parse()?,
            built: value("built")?.parse()?,
            asleep: value("asleep")?.parse()?,
            calls: calls.collect::<Result<_, _>>()?,
            boot_id: value("boot_id")?.to_owned(),
        })
    }
}

/// Another one after each boot.
pub fn boot_id() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim().to_owned())
}

/// This is another kernel, and everything works in it.
pub fn finish(env: &Env, left: &Left) -> Result<()> {
    left.check()?;
    ensure!(boot_id()? != left.boot_id, "this is the same kernel");
    let loader = fs::read_to_string("/proc/sys/kernel/bootloader_type")?;
    check_eq!(loader.trim(), LOADED_BY_KEXEC, "what loaded the kernel");
    let log = env.log()?;
    for (via, mode) in [(Via::Device, Mode::Off), (Via::Takeover, Mode::Takeover)] {
        let _hooked = hooks::hook(mode)?;
        let session = log.load(Spec::new(Kind::Session, "bpf_fentry_test1").quiet())?;
        let trampoline = Trampoline::open(via)?;
        trampoline.add(&session)?;
        session.test_run()?;
        let hits = session.hits()?;
        check_eq!((hits.entry, hits.ret), (1, 1), "runs by {via:?}");
        trampoline.remove(&session)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_through_a_word() {
        let left = Left {
            images: 1,
            built: 2,
            asleep: 3,
            calls: vec![4, 5],
            boot_id: "a-b".to_owned(),
        };
        let word = left.to_string();
        assert!(!word.contains(char::is_whitespace));
        assert_eq!(word.parse::<Left>().unwrap(), left);
        assert!(word[..20].parse::<Left>().is_err());
    }
}
