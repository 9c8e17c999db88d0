// SPDX-License-Identifier: GPL-2.0

//! Who may do what. As with the kernel's own descriptors of BPF links and of perf
//! events, rights are asked for when the device is opened: who was given the
//! descriptor may use it, and the files of others stay closed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{ensure, Result};
use rustix::net::{socketpair, AddressFamily, SocketFlags, SocketType};

use super::addresses::Restrict;
use super::open::Everyone;
use crate::device::Device;
use crate::harness::{skip, Env};
use crate::holder::{self, From};
use crate::hooks::{self, Mode};
use crate::probe::{Kind, Spec};
use crate::rights::{as_nobody, CapabilitySet};
use crate::socket;

tests! {
    rights_given: "who is given the descriptor may use it, no more",
    rights_userns: "capabilities in a user namespace do not count",
    rights_hidden: "what the opener may not see, no holder sees",
    rights_debugfs: "the files are root's, mode takes capabilities",
}

/// Nothing succeeds that takes rights, everything that takes the descriptor.
const GIVEN: &[(&str, i32)] = &[
    ("info", 0),
    ("read", 0),
    ("compare", 0),
    ("remove", 0),
    ("link", 0),
    ("add", 0),
];

/// Gives `device` and a session on it to another process of the current thread's
/// rights; afterwards the session must run.
fn give(env: &Env, device: &Device, caps: Option<CapabilitySet>, from: From) -> Result<Tried> {
    let session = env
        .log()?
        .load(Spec::new(Kind::Session, "bpf_fentry_test1").quiet())?;
    device.add(session.fd(), 0)?;
    let (here, there) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let child = match caps {
        Some(caps) => as_nobody(caps, || holder::start(from, there))??,
        None => holder::start(from, there)?,
    };
    socket::send(here.as_fd(), &[device.as_fd(), session.fd()])?;
    let tried = holder::results(child)?;
    session.test_run()?;
    check_eq!(session.hits()?.ret, 1, "runs of the session");
    device.remove(session.fd())?;
    Ok(Tried(tried))
}

/// Errnos of what was tried.
struct Tried(BTreeMap<String, i32>);

impl Tried {
    fn check(&self, expected: &[(&str, i32)]) -> Result<()> {
        for (what, errno) in expected {
            check_eq!(self.0.get(*what), Some(errno), "errno of '{what}'");
        }
        Ok(())
    }
}

fn rights_given(env: &Env) -> Result<()> {
    let _restrict = Restrict::usual()?;
    let device = env.device()?;
    let nobody = Some(CapabilitySet::empty());
    let tried = give(env, &device, nobody, From::Socket)?;
    tried.check(GIVEN)?;
    let closed = [
        ("open", libc::EACCES),
        ("reopen", libc::EACCES),
        ("mode", libc::EACCES),
    ];
    tried.check(&closed)?;
    // The node is open to all, and still it takes capabilities.
    let _everyone = Everyone::new()?;
    let tried = give(env, &device, nobody, From::Socket)?;
    tried.check(GIVEN)?;
    tried.check(&[("open", libc::EPERM), ("reopen", libc::EPERM)])
}

fn rights_userns(env: &Env) -> Result<()> {
    if !Path::new("/proc/self/ns/user").exists() {
        return Err(skip("the kernel has no user namespaces (CONFIG_USER_NS)"));
    }
    let _restrict = Restrict::usual()?;
    let _hooked = env.hook(Mode::Shadow)?;
    let device = env.device()?;
    // Root, to whom node and files belong.
    let tried = give(env, &device, None, From::Userns)?;
    tried.check(GIVEN)?;
    let asked = [
        ("open", libc::EPERM),
        ("reopen", libc::EPERM),
        ("mode", libc::EPERM),
    ];
    tried.check(&asked)?;
    let _everyone = Everyone::new()?;
    let tried = give(env, &device, Some(CapabilitySet::empty()), From::Userns)?;
    tried.check(GIVEN)?;
    tried.check(&[
        ("open", libc::EPERM),
        ("reopen", libc::EPERM),
        ("mode", libc::EACCES),
    ])?;
    check_eq!(hooks::mode()?, "shadow\n", "mode");
    Ok(())
}

fn rights_hidden(env: &Env) -> Result<()> {
    let restrict = Restrict::usual()?;
    restrict.kptr(1)?;
    let caps = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let device = {
        let _everyone = Everyone::new()?;
        as_nobody(caps, Device::open)??
    };
    for caps in [None, Some(CapabilitySet::SYSLOG)] {
        let tried = give(env, &device, caps, From::Socket)?;
        tried.check(&[("info", 0), ("read", libc::EPERM), ("compare", libc::EPERM)])?;
        tried.check(&[("remove", 0), ("link", 0), ("add", 0)])?;
        check_eq!(device.info()?.image_addr, 0, "address of the image");
    }
    Ok(())
}

fn rights_debugfs(env: &Env) -> Result<()> {
    let _hooked = env.hook(Mode::Off)?;
    let mut paths = hooks::mismatch_paths()?;
    paths.extend([hooks::MODE, hooks::STATS].map(Into::into));
    let all = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
    for path in &paths {
        for caps in [CapabilitySet::empty(), all] {
            let opened = as_nobody(caps, || File::open(path))?;
            check_errno!(opened, EACCES, "opening {} with {caps:?}", path.display());
        }
    }
    // Whoever passes by the modes of files still has no right to trace.
    let dac = CapabilitySet::DAC_OVERRIDE;
    for path in &paths {
        as_nobody(dac, || File::open(path))??;
    }
    let mode = File::options();
    let written = as_nobody(dac, || {
        mode.clone()
            .write(true)
            .open(hooks::MODE)?
            .write_all(b"shadow")
    })?;
    check_errno!(written, EPERM, "writing mode with CAP_DAC_OVERRIDE");
    ensure!(hooks::mode()? == "off\n", "the mode has changed");
    Ok(())
}
