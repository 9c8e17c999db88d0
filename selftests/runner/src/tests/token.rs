// SPDX-License-Identifier: GPL-2.0

//! A process of another user namespace that may use BPF by a token: a file system
//! made for it says so.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{ensure, Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, FsMountFlags, FsOpenFlags,
    MountAttrFlags,
};
use rustix::process::{pidfd_getfd, pidfd_open, Pid, PidfdFlags, PidfdGetfdFlags};
use rustix::thread::{unshare_unsafe, UnshareFlags};

use crate::bpf;
use crate::harness::{skip, Env};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::{Function, Functions};

tests! {
    token_session: "a session loaded and attached by a BPF token",
}

const TARGET: &str = "bpf_fentry_test1";

/// What two processes tell each other, a number at a time.
struct Talk(UnixStream);

impl Talk {
    fn say(&mut self, number: i32) -> Result<()> {
        Ok(self.0.write_all(&number.to_ne_bytes())?)
    }

    fn hear(&mut self) -> Result<i32> {
        let mut number = [0; 4];
        let heard = self.0.read_exact(&mut number);
        heard.context("the other process has gone")?;
        Ok(i32::from_ne_bytes(number))
    }
}

/// The other process: root of its own user namespace, nobody outside.
fn child(mut parent: Talk, bulk: &Bulk, function: &Function, place: usize) -> Result<()> {
    // SAFETY: Descriptors stay shared with nobody.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.context("no user namespace")?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", "0 0 1")?;
    fs::write("/proc/self/gid_map", "0 0 1")?;
    // SAFETY: As above.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    let what = What::WithCookie;
    check_errno!(
        bulk.load_for(what, false, function.id),
        EPERM,
        "loading without a token"
    );
    if std::path::Path::new(crate::device::PATH).exists() {
        check_errno!(crate::device::Device::open(), EPERM, "opening the device");
    }

    let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC)?;
    ensure!(
        fsconfig_set_string(&context, "delegate_cmds", "any").is_err(),
        "it could give rights to itself"
    );
    parent.say(context.as_raw_fd())?;
    parent.hear()?;
    let mount = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(&mount, ".", flags, Mode::empty())?;
    let token = create(directory.as_fd()).context("no token")?;
    let prog = bulk
        .load_by_token(what, function.id, token.as_fd())
        .context("cannot load with a token")?;
    let link = bpf::link(prog.as_fd(), libbpf_sys::BPF_TRACE_FSESSION, place as u64)
        .context("cannot attach")?;
    parent.say(prog.as_raw_fd())?;
    parent.hear()?;
    drop(link);
    parent.say(0)?;
    parent.hear()?;
    Ok(())
}

fn create(directory: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    // SAFETY: No options are a null pointer.
    let fd = unsafe { libbpf_sys::bpf_token_create(directory.as_raw_fd(), std::ptr::null_mut()) };
    // SAFETY: The kernel has just made this descriptor for us.
    bpf::check(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What this process does for the other one, and sees of it.
fn parent(child: &mut Talk, pid: Pid, bulk: &Bulk, id: u32, place: usize) -> Result<()> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let context = pidfd_getfd(&pidfd, child.hear()?, PidfdGetfdFlags::empty())?;
    for what in [
        "delegate_cmds",
        "delegate_maps",
        "delegate_progs",
        "delegate_attachs",
    ] {
        if let Err(err) = fsconfig_set_string(&context, what, "any") {
            return Err(skip(format!("no BPF tokens: {what}: {err}")));
        }
    }
    fsconfig_create(&context)?;
    child.say(0)?;
    child.hear()?;
    let caller = bulk.load_for(What::Fentry, false, id)?;
    for runs in 1..=3 {
        bpf::test_run(caller.as_fd())?;
        let seen = bulk.seen_at(place)?;
        check_eq!(
            (seen.entries, seen.returns, seen.wrong, seen.alone),
            (runs, runs, 0, 0),
            "runs of the other process's session"
        );
    }
    child.say(0)?;
    child.hear()?;
    bpf::test_run(caller.as_fd())?;
    check_eq!(bulk.seen_at(place)?.entries, 3, "runs after the detach");
    child.say(0)
}

fn token_session(env: &Env) -> Result<()> {
    let function = Functions::load()?.named(TARGET)?.clone();
    let mut bulk = Bulk::load(&env.bpf)?;
    let place = bulk.place(What::WithCookie, &function)?;
    let (to_child, to_parent) = UnixStream::pair()?;
    let (mut to_child, to_parent) = (Talk(to_child), Talk(to_parent));
    // SAFETY: This process has no other thread that could hold a lock.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => {
            drop(to_child);
            let result = child(to_parent, &bulk, &function, place);
            if let Err(err) = &result {
                println!("{err:#}");
            }
            // SAFETY: Nothing is to be cleaned up here, all of that is the parent's.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        pid => {
            drop(to_parent);
            let pid = Pid::from_raw(pid).context("a child has a number")?;
            let result = parent(&mut to_child, pid, &bulk, function.id, place);
            drop(to_child);
            let ended = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
            result?;
            let status = ended.context("the child has ended")?.1;
            check_eq!(status.exit_status(), Some(0), "how the other process ended");
            Ok(())
        }
    }
}
