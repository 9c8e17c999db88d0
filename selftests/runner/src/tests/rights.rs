// SPDX-License-Identifier: GPL-2.0

//! Who may open the device: `CAP_BPF` with `CAP_PERFMON`, or `CAP_SYS_ADMIN`,
//! and who may open a file of mode 0600.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use anyhow::{ensure, Result};

use crate::device::{Device, PATH};
use crate::harness::Env;
use crate::probe::{Kind, Spec};
use crate::rights::{as_nobody, CapabilitySet};

tests! {
    open_mode: "a character device of root, mode 0600",
    open_unprivileged: "EACCES by mode, EPERM by capabilities",
    open_half_capable: "EPERM with one of CAP_BPF and CAP_PERFMON",
    open_capable: "CAP_BPF and CAP_PERFMON are enough for everything",
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
