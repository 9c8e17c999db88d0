// SPDX-License-Identifier: GPL-2.0

//! The operations of the device that are walked, and what is right after each fault.

use std::io;

use anyhow::{ensure, Context, Result};
use libc::{EFAULT, ENOMEM};

use super::{walk, Nth, Report};
use crate::bpf;
use crate::device::{abi, Device, Info};
use crate::harness::Env;
use crate::hooks::Stats;
use crate::probe::{Kind, Log, Probe, Spec};
use crate::tests::compare::{case, session};

const TARGET: &str = "bpf_fentry_test1";

/// More points than any operation has.
pub(super) const MOST: u32 = 3000;

/// What all operations work with.
pub struct World<'a> {
    pub(super) env: &'a Env,
    pub(super) log: Log,
    pub first: Probe,
    pub second: Probe,
}

impl<'a> World<'a> {
    pub fn new(env: &'a Env) -> Result<Self> {
        let log = env.log()?;
        let load = |kind| log.load(Spec::new(kind, TARGET).quiet());
        Ok(Self {
            env,
            first: load(Kind::Session)?,
            second: load(Kind::Fexit)?,
            log,
        })
    }

    fn device(&self, probes: &[&Probe]) -> Result<Device> {
        let device = Device::open()?;
        for probe in probes {
            device
                .add(probe.fd(), 0)
                .context("adding without a fault")?;
        }
        Ok(device)
    }

    /// Which of the two programs run.
    pub fn check_runs(&self, first: bool, second: bool) -> Result<()> {
        let runs = || -> Result<_> { Ok([self.first.hits()?.ret, self.second.hits()?.ret]) };
        let before = runs()?;
        self.first.test_run()?;
        let after = runs()?;
        let ran = [after[0] - before[0], after[1] - before[1]];
        ensure!(
            ran == [u64::from(first), u64::from(second)],
            "the programs ran {ran:?} times"
        );
        Ok(())
    }

    /// The walk of every operation on the device.
    pub fn device_walks(&self, nth: &Nth) -> Result<Vec<Report>> {
        let (first, second) = (&self.first, &self.second);
        let mut reports = Vec::new();
        let open = walk(
            nth,
            "open",
            MOST,
            || Ok(()),
            |()| Device::open(),
            |(), result| {
                expect(result, &[ENOMEM, EFAULT])?;
                self.attach_and_detach()
            },
        )?;
        reports.push(open);
        reports.push(walk(
            nth,
            "ADD, the first program",
            MOST,
            || self.device(&[]),
            |device| device.add_only(first.fd(), 0),
            |device, result| {
                expect(result, &[ENOMEM, EFAULT])?;
                if result.is_err() {
                    let info = device.info()?;
                    ensure!(
                        info.nr_progs() == 0 && info.generation == 0 && info.code_size == 0,
                        "INFO says {info:?}"
                    );
                    self.check_runs(false, false)?;
                    device.add(first.fd(), 0).context("adding afterwards")?;
                }
                check_info(&device.info()?, 1)?;
                self.check_runs(true, false)?;
                device.remove(first.fd())?;
                self.check_runs(false, false)
            },
        )?);
        reports.push(walk(
            nth,
            "ADD, the second program",
            MOST,
            || {
                let device = self.device(&[first])?;
                let info = device.info()?;
                Ok((device, info))
            },
            |(device, _)| device.add_only(second.fd(), 0),
            |(device, before), result| {
                expect(result, &[ENOMEM, EFAULT])?;
                if result.is_err() {
                    check_same(&before, &device.info()?)?;
                    self.check_runs(true, false)?;
                    device.add(second.fd(), 0).context("adding afterwards")?;
                }
                check_info(&device.info()?, 2)?;
                self.check_runs(true, true)?;
                drop(device);
                self.check_runs(false, false)
            },
        )?);
        reports.push(walk(
            nth,
            "REMOVE, one of two",
            MOST,
            || self.device(&[first, second]),
            |device| device.remove_only(second.fd()),
            |device, result| {
                // To detach takes no memory; the request may be out of reach.
                expect(result, &[EFAULT])?;
                if result.is_err() {
                    self.check_runs(true, true)?;
                    device.remove(second.fd()).context("removing afterwards")?;
                }
                check_info(&device.info()?, 1)?;
                self.check_runs(true, false)?;
                device.add(second.fd(), 0).context("adding it again")?;
                self.check_runs(true, true)
            },
        )?);
        reports.push(walk(
            nth,
            "REMOVE, the last one",
            MOST,
            || self.device(&[first]),
            |device| device.remove_only(first.fd()),
            |device, result| {
                expect(result, &[EFAULT])?;
                if result.is_err() {
                    self.check_runs(true, false)?;
                    device.remove(first.fd()).context("removing afterwards")?;
                }
                ensure!(device.info()?.nr_progs() == 0, "a program is left");
                self.check_runs(false, false)
            },
        )?);
        reports.push(walk(
            nth,
            "close",
            MOST,
            || Ok(Some(self.device(&[first, second])?)),
            |device| {
                drop(device.take());
                Ok(())
            },
            |_, _| self.check_runs(false, false),
        )?);
        reports.push(walk(
            nth,
            "INFO and read",
            MOST,
            || self.device(&[first]),
            |device| device.info().and_then(|_| device.image()),
            |device, result| {
                expect(result, &[ENOMEM, EFAULT])?;
                check_info(&device.info()?, 1)?;
                ensure!(
                    device.image()?.len() == device.info()?.code_size as usize,
                    "read()"
                );
                self.check_runs(true, false)
            },
        )?);
        reports.push(self.compare(nth)?);
        Ok(reports)
    }

    fn compare(&self, nth: &Nth) -> Result<Report> {
        let progs = session();
        let (mut rust, mut c) = (vec![0u8; 4096], vec![0u8; 4096]);
        let mut request = case(&progs);
        request.rust_image = rust.as_mut_ptr() as u64;
        request.c_image = c.as_mut_ptr() as u64;
        walk(
            nth,
            "COMPARE",
            MOST,
            || Ok((self.device(&[])?, request)),
            |(device, request)| device.compare(request),
            |(device, answer), result| {
                expect(result, &[ENOMEM, EFAULT])?;
                let identical = abi::REFERENCE_IDENTICAL;
                ensure!(result.is_err() || answer.verdict == identical, "{answer:?}");
                let mut again = request;
                device.compare(&mut again)?;
                ensure!(again.verdict == identical, "afterwards {again:?}");
                Ok(())
            },
        )
    }

    pub(super) fn attach_and_detach(&self) -> Result<()> {
        let device = self.device(&[&self.first])?;
        self.check_runs(true, false)?;
        drop(device);
        self.check_runs(false, false)
    }

    pub(super) fn link_and_unlink(&self, built: bool) -> Result<()> {
        let before = Stats::read()?;
        let link = bpf::link(self.first.fd(), Kind::Session.attach_type(), 0)?;
        self.check_runs(true, false)?;
        drop(link);
        let counted = before.since()?;
        counted.check_clean()?;
        ensure!(
            (counted.get("built")? > 0) == built,
            "built by Rust: {counted}"
        );
        Ok(())
    }
}

/// Success, or one of these.
pub(super) fn expect<T>(result: &io::Result<T>, errnos: &[i32]) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(err) => {
            let errno = err.raw_os_error().unwrap_or(-1);
            ensure!(errnos.contains(&errno), "{err} is not the fault's errno");
            Ok(())
        }
    }
}

fn check_info(info: &Info, progs: u32) -> Result<()> {
    ensure!(
        info.nr_progs() == progs
            && info.reference != abi::REFERENCE_DIFFERENT
            && info.code_size > 0,
        "INFO says {info:?}"
    );
    Ok(())
}

fn check_same(before: &Info, now: &Info) -> Result<()> {
    ensure!(
        format!("{before:?}") == format!("{now:?}"),
        "INFO says {now:?} after {before:?}"
    );
    Ok(())
}
