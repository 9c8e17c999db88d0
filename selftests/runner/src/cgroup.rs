// SPDX-License-Identifier: GPL-2.0

//! A cgroup of the test's own, in a file system that nobody else sees.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::mount::{fsconfig_create, fsmount, fsopen, FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::harness::skip;

/// The cgroup, removed on drop.
#[must_use]
pub struct Cgroup {
    /// The root of the hierarchy.
    root: OwnedFd,
    name: String,
}

impl Cgroup {
    /// A skip where the kernel has no cgroups.
    pub fn new() -> Result<Self> {
        let fs = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|err| skip(format!("no cgroups: {err}")))?;
        fsconfig_create(&fs)?;
        let root = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        let name = format!("rust_fsession.{}", std::process::id());
        let cgroup = Self { root, name };
        fs::create_dir(cgroup.path()).context("cannot make a cgroup")?;
        Ok(cgroup)
    }

    fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.root.as_raw_fd()))
    }

    fn path(&self) -> PathBuf {
        self.root().join(&self.name)
    }

    /// What programs are attached to.
    pub fn open(&self) -> Result<File> {
        Ok(File::open(self.path())?)
    }

    /// Takes this process into the cgroup, and out of it.
    pub fn enter(&self) -> Result<()> {
        fs::write(self.path().join("cgroup.procs"), "0").context("cannot enter the cgroup")
    }

    pub fn leave(&self) -> Result<()> {
        fs::write(self.root().join("cgroup.procs"), "0").context("cannot leave the cgroup")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.leave().expect("the root takes everybody");
        fs::remove_dir(self.path()).expect("nobody is in the cgroup");
    }
}
