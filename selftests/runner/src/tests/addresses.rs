// SPDX-License-Identifier: GPL-2.0

//! Addresses, and code that holds some, are shown to whom `/proc/kallsyms`
//! shows them: the credentials of who opened the descriptor count.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{ensure, Context, Result};

use super::compare::{case, session, PAGE};
use super::open::Everyone;
use crate::device::{Device, Info};
use crate::harness::Env;
use crate::probe::{Kind, Spec};
use crate::rights::{as_nobody, CapabilitySet};
use crate::sysctl::Sysctl;

tests! {
    addresses_root: "kptr_restrict=2 hides them from root",
    addresses_syslog: "CAP_SYSLOG shows them up to kptr_restrict=1",
    addresses_perf: "perf_event_paranoid=1 shows them to all",
    addresses_passed: "it is the opener who counts",
}

/// The settings that decide, until dropped.
pub struct Restrict {
    kptr: Sysctl,
    perf: Sysctl,
}

impl Restrict {
    /// Nothing is hidden from root, the rest is as on most systems.
    pub fn usual() -> Result<Self> {
        let restrict = Self {
            kptr: Sysctl::keep("kernel/kptr_restrict")?,
            perf: Sysctl::keep("kernel/perf_event_paranoid")?,
        };
        restrict.perf(2)?;
        restrict.kptr(0)?;
        Ok(restrict)
    }

    pub fn kptr(&self, value: u32) -> Result<()> {
        let written = self.kptr.write(&value.to_string());
        written.with_context(|| format!("cannot set kptr_restrict to {value}"))
    }

    pub fn perf(&self, value: u32) -> Result<()> {
        let written = self.perf.write(&value.to_string());
        written.with_context(|| format!("cannot set perf_event_paranoid to {value}"))
    }
}

/// All that opening takes.
const OPENER: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::PERFMON);

fn open_as(caps: CapabilitySet) -> Result<Device> {
    let _everyone = Everyone::new()?;
    as_nobody(caps, Device::open)?.with_context(|| format!("cannot open with {caps:?}"))
}

/// Attaches a session and looks at everything that has an address in it.
fn expect(env: &Env, device: &Device, shown: bool) -> Result<()> {
    let probe = env
        .log()?
        .load(Spec::new(Kind::Session, "bpf_fentry_test1").quiet())?;
    device.add(probe.fd(), 0)?;
    let result = expect_info(device, shown)
        .and_then(|()| expect_read(device, shown))
        .and_then(|()| expect_compare(device, shown));
    probe.test_run()?;
    device.remove(probe.fd())?;
    result?;
    check_eq!(probe.hits()?.ret, 1, "runs of the session");
    Ok(())
}

fn expect_info(device: &Device, shown: bool) -> Result<()> {
    let info = device.info()?;
    let Info {
        target_addr,
        image_addr,
        ..
    } = info;
    check_eq!(target_addr != 0, shown, "address of the target in INFO");
    check_eq!(image_addr != 0, shown, "address of the image in INFO");
    ensure!(
        info.target() == "bpf_fentry_test1"
            && info.nr_fsession == 1
            && info.code_size > 0
            && info.image_size > info.code_size
            && info.flags != 0
            && info.fp_end > info.fp_start
            && info.is_identical(),
        "more is hidden than addresses: {info:?}"
    );
    Ok(())
}

fn expect_read(device: &Device, shown: bool) -> Result<()> {
    let image = device.image();
    if shown {
        check_eq!(
            image?.len(),
            device.info()?.code_size as usize,
            "bytes of code"
        );
        return Ok(());
    }
    check_errno!(image, EPERM, "reading the image");
    Ok(())
}

fn expect_compare(device: &Device, shown: bool) -> Result<()> {
    let progs = session();
    let (mut rust, mut c) = (vec![0u8; PAGE], vec![0u8; PAGE]);
    let images = [rust.as_mut_ptr() as u64, c.as_mut_ptr() as u64];
    for (rust_image, c_image) in [(images[0], images[1]), (images[0], 0), (0, images[1])] {
        let mut case = case(&progs);
        (case.rust_image, case.c_image) = (rust_image, c_image);
        let result = device.compare(&mut case);
        if shown {
            result?;
        } else {
            check_errno!(result, EPERM, "comparing with images");
        }
    }
    let nothing = [&rust, &c].iter().all(|page| page.iter().all(|b| *b == 0));
    check_eq!(!nothing, shown, "code in the images of COMPARE");
    let mut case = case(&progs);
    device.compare(&mut case)?;
    ensure!(case.rust_ret > 0, "an image of {} bytes", case.rust_ret);
    check_eq!(case.c_ret, case.rust_ret, "sizes without images");
    Ok(())
}

fn addresses_root(env: &Env) -> Result<()> {
    let restrict = Restrict::usual()?;
    let device = env.device()?;
    for (kptr, shown) in [(0, true), (1, true), (2, false), (0, true)] {
        restrict.kptr(kptr)?;
        expect(env, &device, shown).with_context(|| format!("kptr_restrict={kptr}"))?;
        let new = env.device()?;
        expect(env, &new, shown).with_context(|| format!("opened at {kptr}"))?;
    }
    Ok(())
}

fn addresses_syslog(env: &Env) -> Result<()> {
    let restrict = Restrict::usual()?;
    env.device()?;
    let without = open_as(OPENER)?;
    let with = open_as(OPENER | CapabilitySet::SYSLOG)?;
    for (kptr, shown) in [(0, true), (1, true), (2, false)] {
        restrict.kptr(kptr)?;
        expect(env, &with, shown).with_context(|| format!("CAP_SYSLOG, {kptr}"))?;
        expect(env, &without, false).with_context(|| format!("no CAP_SYSLOG, {kptr}"))?;
    }
    Ok(())
}

fn addresses_perf(env: &Env) -> Result<()> {
    let restrict = Restrict::usual()?;
    env.device()?;
    let device = open_as(OPENER)?;
    restrict.perf(1)?;
    for (kptr, shown) in [(0, true), (1, false), (2, false)] {
        restrict.kptr(kptr)?;
        expect(env, &device, shown).with_context(|| format!("kptr_restrict={kptr}"))?;
    }
    restrict.kptr(0)?;
    restrict.perf(2)?;
    expect(env, &device, false).context("perf_event_paranoid=2")
}

/// Descriptors change hands, here between threads of other credentials.
fn addresses_passed(env: &Env) -> Result<()> {
    let restrict = Restrict::usual()?;
    restrict.kptr(1)?;
    let by_root = env.device()?;
    let by_nobody = open_as(OPENER)?;
    // Root has what the opener had not.
    expect(env, &by_nobody, false).context("opened by nobody, used by root")?;
    // And the other way round.
    let probe = env
        .log()?
        .load(Spec::new(Kind::Session, "bpf_fentry_test1").quiet())?;
    by_root.add(probe.fd(), 0)?;
    let (info, image) = as_nobody(CapabilitySet::empty(), || (by_root.info(), by_root.image()))?;
    ensure!(info?.image_addr != 0, "no address for root's descriptor");
    ensure!(!image?.is_empty(), "no code for root's descriptor");

    by_root.remove(probe.fd())?;

    // /proc/self/fd opens anew, with the credentials of who opens.
    let path = format!("/proc/self/fd/{}", by_nobody.as_fd().as_raw_fd());
    let again = Device::from(OwnedFd::from(File::open(path)?));
    expect(env, &again, true).context("opened again by root")
}
