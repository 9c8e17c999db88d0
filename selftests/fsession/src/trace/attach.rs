// SPDX-License-Identifier: GPL-2.0

//! Sessions on functions: by descriptors of `/dev/rust_fsession`, or by BPF links.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{bail, Context, Result};
use libbpf_sys as sys;
use uapi::device::Device;

use super::program::os_text;
use crate::kernel::objects::own;

/// By what programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Images that the module builds.
    Device,
    /// Images that the kernel builds.
    Link,
}

/// Detaches when it goes.
pub enum Attached {
    /// (A descriptor of the device that stays open.)
    Device(#[allow(dead_code)] Device),
    Link(#[allow(dead_code)] OwnedFd),
}

impl Way {
    /// The device where the module is loaded, links otherwise, which is said on standard error.
    pub fn choose(wants_link: bool) -> Result<Self> {
        if wants_link {
            return Ok(Self::Link);
        }
        match Device::open() {
            Ok(_) => Ok(Self::Device),
            Err(err) if is_missing(&err) => {
                eprintln!(
                    "note: rust_fsession is not loaded, the kernel builds the images (--link)"
                );
                Ok(Self::Link)
            }
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => bail!(
                "{} cannot be opened: tracing takes root, or CAP_BPF and CAP_PERFMON (try sudo)",
                uapi::device::PATH
            ),
            Err(err) => bail!("{}: {}", uapi::device::PATH, os_text(&err)),
        }
    }

    /// Attaches `prog` to `function`, for which it was loaded, as number `number`.
    pub fn attach(self, prog: BorrowedFd<'_>, function: &str, number: u64) -> Result<Attached> {
        let result = match self {
            Self::Device => device(prog, number),
            Self::Link => link(prog, number),
        };
        result.map_err(|err| match (self, err.raw_os_error()) {
            (Self::Device, Some(libc::EBUSY)) => anyhow::anyhow!(
                "{function} is traced by a BPF link, a live patch or the like already: try --link"
            ),
            // The latter from kernels with one ftrace_ops for all direct calls.
            (Self::Link, Some(libc::EBUSY | libc::EINVAL)) => anyhow::anyhow!(
                "cannot attach to {function}: {}. Is it traced through /dev/rust_fsession?",
                os_text(&err)
            ),
            (_, Some(libc::EMFILE)) => anyhow::anyhow!(
                "too many open files: allow more (ulimit -n), or trace fewer functions"
            ),
            _ => anyhow::anyhow!("cannot attach to {function}: {}", os_text(&err)),
        })
    }
}

fn is_missing(err: &io::Error) -> bool {
    matches!(
        err.raw_os_error(),
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO)
    )
}

fn device(prog: BorrowedFd<'_>, number: u64) -> io::Result<Attached> {
    let device = Device::open()?;
    device.add_only(prog, number)?;
    Ok(Attached::Device(device))
}

fn link(prog: BorrowedFd<'_>, number: u64) -> io::Result<Attached> {
    let mut opts = sys::bpf_link_create_opts {
        sz: size_of::<sys::bpf_link_create_opts>() as _,
        ..Default::default()
    };
    opts.__bindgen_anon_1.tracing.cookie = number;
    let prog = prog.as_fd().as_raw_fd();
    // SAFETY: `opts` has no pointers and outlives the call.
    let fd = unsafe { sys::bpf_link_create(prog, 0, sys::BPF_TRACE_FSESSION, &opts) };
    own(fd).map(Attached::Link)
}

/// Lets this process have the descriptors that `functions` take, two each. (A traced command
/// inherits the limit, so that it is left alone where it is enough.)
pub fn raise_limit(functions: usize) -> Result<()> {
    use rustix::process::{getrlimit, setrlimit, Resource};
    const OTHERS: u64 = 64;
    let needed = 2 * functions as u64 + OTHERS;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    limit.current = match limit.maximum {
        Some(maximum) => Some(maximum.min(needed)),
        None => Some(needed),
    };
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}
