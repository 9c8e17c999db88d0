// SPDX-License-Identifier: GPL-2.0

//! One program on many functions. libbpf does not know these links yet.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use anyhow::{ensure, Context, Result};

use super::bulk::{Bulk, What};
use super::functions::Functions;
use super::kinds::is_called;
use super::Report;
use crate::bpf;

pub const BPF_TRACE_FENTRY_MULTI: u32 = 59;
pub const BPF_TRACE_FEXIT_MULTI: u32 = 60;
pub const BPF_TRACE_FSESSION_MULTI: u32 = 61;
const BPF_LINK_CREATE: u32 = 28;

/// `union bpf_attr`, as far as `BPF_LINK_CREATE` with `tracing_multi` goes.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    ids: *const u32,
    cookies: *const u64,
    cnt: u32,
    pad: u32,
}

/// Programs of several targets on the functions that a test run calls.
pub fn run(bulk: &mut Bulk, functions: &Functions, report: &mut Report) -> Result<()> {
    let kinds = [
        (What::Fentry, BPF_TRACE_FENTRY_MULTI),
        (What::Fexit, BPF_TRACE_FEXIT_MULTI),
        (What::Session, BPF_TRACE_FSESSION_MULTI),
        (What::WithCookie, BPF_TRACE_FSESSION_MULTI),
    ];
    let targets: Vec<_> = functions.starting_with("bpf_fentry_test").collect();
    let mut links = Vec::new();
    for (what, attach_type) in kinds {
        let prog = match bulk.load_as(what, false, attach_type, 0) {
            Err(err) if err.raw_os_error() == Some(libc::EINVAL) => {
                let why = "no programs of several targets: the kernel does not know them";
                report.leave_out(kinds.len(), why)?;
                return Ok(());
            }
            prog => prog.with_context(|| format!("cannot load {what:?} for several targets"))?,
        };
        let mut ids = Vec::new();
        let mut cookies = Vec::new();
        for function in &targets {
            ids.push(function.id);
            cookies.push(bulk.place(what, function)? as u64);
        }
        let link = link_create(prog.as_fd(), attach_type, &ids, &cookies)
            .with_context(|| format!("cannot attach {what:?} to several targets"))?;
        links.push((what, prog, link, cookies));
        report.programs += 1;
        report.images += ids.len() as u64;
    }
    bpf::test_run(links[0].1.as_fd())?;
    for (what, _, _, places) in &links {
        let (first, second) = what.halves();
        for (function, place) in targets.iter().zip(places) {
            let seen = bulk.seen_at(*place as usize)?;
            let halves = (seen.entries, seen.returns);
            ensure!(
                (halves == (first, second) || (halves == (0, 0) && !is_called(&function.name)))
                    && (seen.alone, seen.wrong) == (0, 0),
                "{what:?} of several targets saw {seen:?} of {}",
                function.name
            );
        }
    }
    Ok(())
}

pub fn link_create(
    prog: BorrowedFd<'_>,
    attach_type: u32,
    ids: &[u32],
    cookies: &[u64],
) -> io::Result<OwnedFd> {
    let attr = LinkCreate {
        prog_fd: prog.as_raw_fd().unsigned_abs(),
        target_fd: 0,
        attach_type,
        flags: 0,
        ids: ids.as_ptr(),
        // None is 0 for all.
        cookies: match cookies {
            [] => ptr::null(),
            cookies => cookies.as_ptr(),
        },
        cnt: ids.len() as u32,
        pad: 0,
    };
    // SAFETY: `attr` is what this command takes; its arrays have `cnt` entries,
    // as far as there are any, and outlive the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_LINK_CREATE,
            &attr,
            size_of::<LinkCreate>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
