// SPDX-License-Identifier: GPL-2.0

//! Memory for code: every image is charged to the JIT compiler's account, and
//! who may not exceed it is refused.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libbpf_rs::{Object, ProgramInput};

use super::wait_for;
use crate::attach::Trampoline;
use crate::bpf;
use crate::device::Device;
use crate::harness::Env;
use crate::kallsyms::all_images;
use crate::probe::{Kind, Log, Probe, Spec};
use crate::rights::{as_nobody, CapabilitySet};
use crate::sysctl::Sysctl;

const TARGET: &str = "bpf_fentry_test1";

tests! {
    jitmem_limit: "EPERM at bpf_jit_limit, and all is as it was",
    jitmem_charged: "what an image takes is charged until it is freed",
    jitmem_cycles: "attached and detached over and over: nothing is kept",
}

/// The account, as the kernel has it.
pub struct Account(Object);

impl Account {
    pub fn open(env: &Env) -> Result<Self> {
        Self::load(&env.bpf)
    }

    /// By the object in `dir`.
    pub fn load(dir: &Path) -> Result<Self> {
        Ok(Self(bpf::open(dir, "jitmem")?.load()?))
    }

    pub fn charged(&self) -> Result<i64> {
        let mut progs = self.0.progs_mut();
        let prog = progs.next().context("jitmem has a program")?;
        let output = prog.test_run(ProgramInput::default())?;
        check_eq!(output.return_value, 0, "reading bpf_jit_current");
        bpf::globals(&self.0, ".bss")
    }

    /// What was charged for programs and images that have gone is given back after
    /// some grace periods.
    pub fn wait(&self, expected: i64) -> Result<()> {
        wait_for("no more is charged", || Ok(self.charged()? <= expected))?;
        check_eq!(self.charged()?, expected, "bytes charged");
        Ok(())
    }

    /// What is charged when nothing is on its way out.
    pub fn settled(&self) -> Result<i64> {
        wait_for(
            "no image waits to be freed",
            || Ok(all_images()?.is_empty()),
        )?;
        let mut charged = self.charged()?;
        for _ in 0..5 {
            super::pause(Duration::from_millis(60));
            charged = charged.min(self.charged()?);
        }
        Ok(charged)
    }
}

fn session(log: &Log) -> Result<Probe> {
    log.load(Spec::new(Kind::Session, TARGET).this_process().quiet())
}

/// Attaches by who has a descriptor and no rights.
fn attach_as_nobody(tramp: &Trampoline, probe: &Probe) -> Result<io::Result<Option<OwnedFd>>> {
    let (prog, attach_type) = (probe.fd(), probe.kind.attach_type());
    match tramp {
        Trampoline::Device(device) => as_nobody(CapabilitySet::empty(), || {
            device.add(prog, 0).map(|()| None)
        }),
        Trampoline::Link(_) => as_nobody(CapabilitySet::empty(), || {
            bpf::link(prog, attach_type, 0).map(Some)
        }),
    }
}

fn expect_runs(probes: &[&Probe], runs: u64) -> Result<()> {
    probes[0].test_run()?;
    for probe in probes {
        let hits = probe.hits()?;
        check_eq!((hits.entry, hits.ret), (runs, runs), "runs");
    }
    Ok(())
}

fn jitmem_limit(env: &Env) -> Result<()> {
    let account = Account::open(env)?;
    let log = env.log()?;
    let (first, second) = (session(&log)?, session(&log)?);
    let tramp = env.trampoline()?;
    let before = account.settled()?;
    for already in [0, 1] {
        // Refused for the first program of a function, then for the second.
        if already == 1 {
            tramp.add(&first)?;
        }
        let charged = account.charged()?;
        let limit = Sysctl::set("net/core/bpf_jit_limit", "1")?;
        for _ in 0..3 {
            let result = attach_as_nobody(&tramp, &second)?;
            check_errno!(result, EPERM, "attaching beyond the limit");
            check_eq!(account.charged()?, charged, "bytes charged");
        }
        tramp.check_image()?;
        // It is no limit for who has CAP_BPF.
        if already == 1 {
            expect_runs(&[&first], 1)?;
            check_eq!(second.hits()?.entry, 0, "runs of who was refused");
        }
        drop(limit);
    }
    let link = attach_as_nobody(&tramp, &second)?.context("attaching below the limit")?;
    tramp.check_image()?;
    second.test_run()?;
    check_eq!(second.hits()?.ret, 1, "runs of the second session");
    drop((link, tramp));
    account.wait(before)
}

fn jitmem_charged(env: &Env) -> Result<()> {
    let account = Account::open(env)?;
    let log = env.log()?;
    let probes = [session(&log)?, session(&log)?, session(&log)?];
    // The device tells sizes, and images are the same whoever asks for them.
    let mut sizes = Vec::new();
    let device = Device::open().context("cannot open the device")?;
    for probe in &probes {
        device.add(probe.fd(), 0)?;
        sizes.push(i64::from(device.info()?.image_size));
    }
    drop(device);
    let before = account.settled()?;
    let tramp = env.trampoline()?;
    for (probe, size) in probes.iter().zip(&sizes) {
        tramp.add(probe)?;
        account.wait(before + size)?;
    }
    for (probe, size) in probes.iter().zip(&sizes).rev() {
        account.wait(before + size)?;
        tramp.remove(probe)?;
    }
    account.wait(before)?;
    tramp.add(&probes[0])?;
    drop(tramp);
    account.wait(before)
}

/// Attaches and detaches `probe` so many times, or as often as it can for a while.
fn cycle(tramp: &Trampoline, probe: &Probe, times: u32, time: Duration) -> Result<u32> {
    let start = Instant::now();
    let mut cycles = 0;
    while cycles < times && start.elapsed() < time {
        tramp.try_add(probe, 0)?;
        tramp.try_remove(probe)?;
        cycles += 1;
    }
    println!("{cycles} times in {:.1?}", start.elapsed());
    Ok(cycles)
}

/// In each cycle, ftrace goes through all functions of the kernel several times.
fn jitmem_cycles(env: &Env) -> Result<()> {
    const CYCLES: u32 = 10_000;
    let time = match env.whole {
        true => Duration::MAX,
        false => Duration::from_secs(2),
    };
    let account = Account::open(env)?;
    let log = env.log()?;
    let (probe, stays) = (session(&log)?, session(&log)?);
    let tramp = env.trampoline()?;
    let before = account.settled()?;
    // Where it is the only one on the function, grace periods pass before ftrace
    // lets the function go.
    let alone = cycle(&tramp, &probe, CYCLES / 100, time)?;
    tramp.add(&stays)?;
    let beside = cycle(&tramp, &probe, CYCLES - alone, time)?;
    if let Some(device) = tramp.device() {
        let images = alone + 1 + 2 * beside;
        check_eq!(device.info()?.generation, images, "images");
    }
    expect_runs(&[&stays], 1)?;
    check_eq!(probe.hits()?.entry, 0, "runs after the last detach");
    tramp.remove(&stays)?;
    account.wait(before)?;
    check_eq!(all_images()?, [], "images");
    tramp.add(&probe)?;
    expect_runs(&[&probe], 1)
}
