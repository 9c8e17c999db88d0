// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_fsession_bench`, which counts in the kernel.
//!
//! The ABI is described in `targets/rust_fsession_bench.h`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::{ensure, Context, Result};
use rustix::ioctl::{ioctl, opcode, Opcode, Updater};

const PATH: &str = "/dev/rust_fsession_bench";
pub const MODULE: &str = "rust_fsession_bench";
pub const MAX_PROGS: usize = 38;

/// `struct bench_build`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Build {
    progs: [i32; MAX_PROGS],
    nr_progs: u32,
    pub bytes: u32,
    pub flags: u32,
    pub size: u64,
    pub build: u64,
    pub place: u64,
    pub copy: u64,
    pub scratch: u64,
    pub page: u64,
}

/// `struct bench_parts`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    prog: i32,
    pad: u32,
    pub enter: u64,
    pub run: u64,
    pub run_return: u64,
    pub exit: u64,
    pub tramp_enter: u64,
    pub tramp_exit: u64,
}

/// `struct bench_call`.
#[repr(C)]
struct Call {
    calls: u64,
    cost: u64,
}

/// `struct bench_loop`.
#[repr(C)]
struct Loop {
    instructions: u64,
    cost: u64,
}

const IOC_BUILD: Opcode = opcode::read_write::<Build>(0xbf, 0x30);
const IOC_CALL: Opcode = opcode::read_write::<Call>(0xbf, 0x31);
const IOC_PARTS: Opcode = opcode::read_write::<Parts>(0xbf, 0x32);
const IOC_LOOP: Opcode = opcode::read_write::<Loop>(0xbf, 0x33);

/// The open device.
pub struct Module(File);

impl Module {
    pub fn open() -> io::Result<Self> {
        File::open(PATH).map(Self)
    }

    /// Costs of an image with these programs.
    pub fn build(&self, progs: &[BorrowedFd<'_>]) -> Result<Build> {
        ensure!(progs.len() <= MAX_PROGS, "{} programs", progs.len());
        // SAFETY: Zeroes are a `Build`.
        let mut build: Build = unsafe { std::mem::zeroed() };
        for (at, prog) in progs.iter().enumerate() {
            build.progs[at] = prog.as_raw_fd();
        }
        build.nr_progs = progs.len() as u32;
        // SAFETY: A `Build` is what this request reads and writes.
        let request = unsafe { Updater::<IOC_BUILD, Build>::new(&mut build) };
        // SAFETY: As above.
        unsafe { ioctl(&self.0, request) }.context("cannot count what building costs")?;
        Ok(build)
    }

    /// Cost of a call of `bpf_fentry_test1()`.
    pub fn call(&self) -> Result<u64> {
        self.cost_of_calls(0)
    }

    /// Ticks that so many calls of it take.
    pub fn time_of_calls(&self, calls: u64) -> Result<u64> {
        self.cost_of_calls(calls)
    }

    fn cost_of_calls(&self, calls: u64) -> Result<u64> {
        let mut call = Call { calls, cost: 0 };
        // SAFETY: A `Call` is what this request reads and writes.
        let request = unsafe { Updater::<IOC_CALL, Call>::new(&mut call) };
        // SAFETY: As above.
        unsafe { ioctl(&self.0, request) }.context("cannot count what a call costs")?;
        Ok(call.cost)
    }

    /// Costs of what an image calls for this program.
    pub fn parts(&self, prog: impl AsFd) -> Result<Parts> {
        let mut parts = Parts {
            prog: prog.as_fd().as_raw_fd(),
            ..Default::default()
        };
        // SAFETY: A `Parts` is what this request reads and writes.
        let request = unsafe { Updater::<IOC_PARTS, Parts>::new(&mut parts) };
        // SAFETY: As above.
        unsafe { ioctl(&self.0, request) }.context("cannot count the pieces of a call")?;
        Ok(parts)
    }

    /// Cost of a loop of so many instructions.
    fn cost_of_loop(&self, instructions: u64) -> Result<u64> {
        let mut request = Loop {
            instructions,
            cost: 0,
        };
        // SAFETY: A `Loop` is what this request reads and writes.
        let updater = unsafe { Updater::<IOC_LOOP, Loop>::new(&mut request) };
        // SAFETY: As above.
        unsafe { ioctl(&self.0, updater) }.context("cannot count a loop")?;
        Ok(request.cost)
    }

    /// Fails unless the TSC counts instructions.
    pub fn check_unit(&self) -> Result<()> {
        let costs = [1000, 3000, 100_000].map(|length| self.cost_of_loop(length));
        let [first, second, third] = costs;
        let (first, second, third) = (first?, second?, third?);
        ensure!(
            (second - first, third - first) == (2000, 99_000),
            "a loop of 1000, 3000 and 100000 instructions is {first}, {second}, {third} ticks: \
             the TSC does not count instructions"
        );
        Ok(())
    }
}
