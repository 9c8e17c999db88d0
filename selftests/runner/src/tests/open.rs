// SPDX-License-Identifier: GPL-2.0

//! Who may open the device: `CAP_BPF` with `CAP_PERFMON`, or `CAP_SYS_ADMIN`,
//! and who may open a file of mode 0600.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use anyhow::{ensure, Context, Result};

use crate::device::{Device, PATH};
use crate::harness::{skip, Env};
use crate::probe::{Kind, Spec};
use crate::rights::{as_nobody, CapabilitySet};
use crate::tracing::EventTrace;

tests! {
    open_mode: "a character device of root, mode 0600",
    open_unprivileged: "EACCES by mode, EPERM by capabilities",
    open_half_capable: "EPERM with one of CAP_BPF and CAP_PERFMON",
    open_capable: "CAP_BPF and CAP_PERFMON are enough for everything",
    open_mixed: "CAP_SYS_ADMIN stands in for either",
    open_asks: "CAP_SYS_ADMIN is asked for last, as by the kernel",
}

/// The node open for everyone, until dropped.
pub struct Everyone(());

impl Everyone {
    pub fn new() -> Result<Self> {
        fs::set_permissions(PATH, Permissions::from_mode(0o666))?;
        Ok(Self(()))
    }
}

impl Drop for Everyone {
    fn drop(&mut self) {
        fs::set_permissions(PATH, Permissions::from_mode(0o600))
            .expect("what could be changed can be changed back");
    }
}

fn open_mode(env: &Env) -> Result<()> {
    env.device()?;
    let node = fs::metadata(PATH)?;
    ensure!(
        node.file_type().is_char_device(),
        "{PATH} is no character device"
    );
    check_eq!(node.mode() & 0o7777, 0o600, "mode of {PATH}");
    check_eq!((node.uid(), node.gid()), (0, 0), "owner of {PATH}");
    Ok(())
}

fn open_unprivileged(env: &Env) -> Result<()> {
    env.device()?;
    let opened = as_nobody(CapabilitySet::empty(), Device::open)?;
    check_errno!(opened, EACCES, "opening the node as nobody");
    let _everyone = Everyone::new()?;
    let opened = as_nobody(CapabilitySet::empty(), Device::open)?;
    check_errno!(opened, EPERM, "opening an open node as nobody");
    Ok(())
}

fn open_half_capable(env: &Env) -> Result<()> {
    env.device()?;
    let _everyone = Everyone::new()?;
    let others = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_RAWIO | CapabilitySet::SYS_MODULE;
    for caps in [CapabilitySet::BPF, CapabilitySet::PERFMON, others] {
        check_errno!(
            as_nobody(caps, Device::open)?,
            EPERM,
            "opening with {caps:?}"
        );
    }
    Ok(())
}

fn open_capable(env: &Env) -> Result<()> {
    env.device()?;
    let _everyone = Everyone::new()?;
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, "bpf_fentry_test1").quiet())?;
    for caps in [
        CapabilitySet::BPF | CapabilitySet::PERFMON,
        CapabilitySet::SYS_ADMIN,
    ] {
        let before = session.hits()?.ret;
        let prog = session.fd();
        let device = as_nobody(caps, || {
            let device = Device::open()?;
            device.add(prog, 0)?;
            ensure!(device.info()?.is_identical(), "not the C builder's image");
            Ok(device)
        })??;
        session.test_run()?;
        check_eq!(session.hits()?.ret, before + 1, "runs with {caps:?}");
        drop(device);
    }
    Ok(())
}

fn open_mixed(env: &Env) -> Result<()> {
    env.device()?;
    let _everyone = Everyone::new()?;
    for with in [
        CapabilitySet::BPF,
        CapabilitySet::PERFMON,
        CapabilitySet::BPF | CapabilitySet::PERFMON,
    ] {
        as_nobody(with | CapabilitySet::SYS_ADMIN, Device::open)?
            .with_context(|| format!("cannot open with {with:?} and CAP_SYS_ADMIN"))?;
    }
    Ok(())
}

/// What the kernel asks for: `bpf_capable()`, then `perfmon_capable()`.
fn open_asks(env: &Env) -> Result<()> {
    const PERFMON: u32 = 38;
    const BPF: u32 = 39;
    const SYS_ADMIN: u32 = 21;
    const KNOWN: [u32; 3] = [PERFMON, BPF, SYS_ADMIN];
    env.device()?;
    let _everyone = Everyone::new()?;
    let trace = EventTrace::start("capability/cap_capable")?;
    let trace = trace.ok_or_else(|| skip("no event capability:cap_capable"))?;
    for (caps, asked) in [
        (
            CapabilitySet::BPF | CapabilitySet::PERFMON,
            &[BPF, PERFMON][..],
        ),
        (CapabilitySet::BPF, &[BPF, PERFMON, SYS_ADMIN]),
        (CapabilitySet::empty(), &[BPF, SYS_ADMIN]),
        (
            CapabilitySet::SYS_ADMIN,
            &[BPF, SYS_ADMIN, PERFMON, SYS_ADMIN],
        ),
    ] {
        // The task is also asked when it needs memory, for example.
        let marker = trace.marker()?;
        let opened = as_nobody(caps, || {
            marker.set("begin")?;
            let opened = Device::open();
            marker.set("end")?;
            anyhow::Ok(opened)
        })??;
        let lines = trace.between("begin", "end")?;
        let seen = lines.iter().filter_map(|line| capability(line));
        let seen: Vec<_> = seen.filter(|cap| KNOWN.contains(cap)).collect();
        ensure!(!lines.is_empty(), "nothing was traced");
        check_eq!(seen, asked, "capabilities asked for with {caps:?}");
        drop(opened);
    }
    Ok(())
}

/// The capability that a line of the trace is about.
fn capability(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once(", cap ")?;
    rest.split(',').next()?.parse().ok()
}
