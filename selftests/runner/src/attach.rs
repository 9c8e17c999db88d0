// SPDX-License-Identifier: GPL-2.0

//! Programs on a function, by the module or by BPF links.
//!
//! A test that only says what programs must see runs either way. With the
//! module's hooks on, ordinary links are a second way onto Rust images; without
//! them, they are the reference for such a test.

use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::{ensure, Context, Result};

use crate::bpf;
use crate::device::{abi, Device, Info};
use crate::probe::{Kind, Probe};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Via {
    /// The module's device, images built in Rust.
    Device,
    /// BPF links, with images built in Rust by the module's hooks.
    Takeover,
    /// BPF links, images built by the kernel.
    Link,
}

impl Via {
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Takeover => "takeover",
            Self::Link => "link",
        }
    }
}

/// Programs on one function.
pub enum Trampoline {
    Device(Device),
    /// Each link with the number of its program.
    Link(RefCell<Vec<(u32, OwnedFd)>>),
}

impl Trampoline {
    pub fn open(via: Via) -> io::Result<Self> {
        Ok(match via {
            Via::Device => Self::Device(Device::open()?),
            Via::Takeover | Via::Link => Self::Link(RefCell::default()),
        })
    }

    /// Attaches `probe` and checks the image that this made.
    pub fn add(&self, probe: &Probe) -> Result<()> {
        self.add_with_cookie(probe, 0)
    }

    pub fn add_with_cookie(&self, probe: &Probe, bpf_cookie: u64) -> Result<()> {
        self.try_add(probe, bpf_cookie)
            .with_context(|| format!("cannot attach {:?} {}", probe.kind, probe.id))?;
        self.check_image()
    }

    pub fn remove(&self, probe: &Probe) -> Result<()> {
        self.try_remove(probe)
            .with_context(|| format!("cannot detach {:?} {}", probe.kind, probe.id))?;
        self.check_image()
    }

    pub fn try_add(&self, probe: &Probe, bpf_cookie: u64) -> io::Result<()> {
        self.try_add_fd(probe.id, probe.fd(), probe.kind, bpf_cookie)
    }

    /// Attaches a program that is no probe, with an `id` of the caller's.
    pub fn try_add_fd(
        &self,
        id: u32,
        prog: BorrowedFd<'_>,
        kind: Kind,
        bpf_cookie: u64,
    ) -> io::Result<()> {
        match self {
            Self::Device(device) => device.add(prog, bpf_cookie),
            Self::Link(links) => {
                let link = bpf::link(prog, kind.attach_type(), bpf_cookie)?;
                links.borrow_mut().push((id, link));
                Ok(())
            }
        }
    }

    pub fn try_remove(&self, probe: &Probe) -> io::Result<()> {
        self.try_remove_fd(probe.id, probe.fd())
    }

    /// As `try_add_fd()`.
    pub fn try_remove_fd(&self, id: u32, prog: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::Device(device) => device.remove(prog),
            Self::Link(links) => {
                let mut links = links.borrow_mut();
                let found = links.iter().position(|(linked, _)| *linked == id);
                links.remove(found.ok_or(io::ErrorKind::NotFound)?);
                Ok(())
            }
        }
    }

    /// Every image that a test builds is held against the C builder's, and what
    /// the device tells about it must fit together.
    pub fn check_image(&self) -> Result<()> {
        let Self::Device(device) = self else {
            return Ok(());
        };
        let info = device.info()?;
        let image = device.image()?;
        if info.nr_progs() == 0 {
            return check_no_image(&info, &image);
        }
        ensure!(
            info.is_identical(),
            "the C builder's image is not the same (reference {}): the kernel log says where",
            info.reference
        );
        ensure!(info.image_addr != 0, "programs, but no image");
        ensure!(
            image.len() == info.code_size as usize && info.code_size <= info.image_size,
            "read() gives {} bytes, the image has {} of {}",
            image.len(),
            info.code_size,
            info.image_size
        );
        ensure!(
            info.fp_start < info.fp_end && info.fp_end <= info.code_size,
            "frame pointer from {} to {} in {} bytes",
            info.fp_start,
            info.fp_end,
            info.code_size
        );
        ensure!(
            !info.target().is_empty() && info.target_addr != 0,
            "no target"
        );
        Ok(())
    }

    pub fn device(&self) -> Option<&Device> {
        match self {
            Self::Device(device) => Some(device),
            Self::Link(_) => None,
        }
    }
}

fn check_no_image(info: &Info, image: &[u8]) -> Result<()> {
    ensure!(
        info.image_addr == 0 && info.code_size == 0 && info.image_size == 0 && image.is_empty(),
        "no programs, but an image: {info:?}"
    );
    ensure!(
        info.reference == abi::REFERENCE_NONE,
        "no image, but a reference: {info:?}"
    );
    Ok(())
}
