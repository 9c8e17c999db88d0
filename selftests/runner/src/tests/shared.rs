// SPDX-License-Identifier: GPL-2.0

//! A descriptor in several hands: the last one that closes it detaches.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::net::{socketpair, AddressFamily, SocketFlags, SocketType};

use crate::device::Device;
use crate::harness::Env;
use crate::probe::{Kind, Probe, Spec};
use crate::socket;

const TARGET: &str = "bpf_fentry_test1";

tests! {
    shared_dup: "a second descriptor number keeps the session",
    shared_inherited: "a child that inherited it keeps the session",
    shared_killed: "a child killed with SIGKILL lets go of it",
    shared_passed: "it keeps the session on its way through a socket",
}

fn attach(env: &Env) -> Result<(Device, Probe)> {
    let device = env.device()?;
    let session = env
        .log()?
        .load(Spec::new(Kind::Session, TARGET).cookie().quiet())?;
    device.add(session.fd(), 0)?;
    Ok((device, session))
}

fn expect_attached(session: &Probe, attached: bool, when: &str) -> Result<()> {
    let before = session.hits()?.ret;
    session.test_run()?;
    check_eq!(
        session.hits()?.ret - before,
        u64::from(attached),
        "runs {when}"
    );
    Ok(())
}

/// A process that does nothing but hold our descriptor.
fn holder(device: Device) -> Result<Child> {
    // A plain duplicate survives exec, the descriptor itself does not.
    let _inherited = rustix::io::dup(device.as_fd())?;
    Command::new("/proc/self/exe")
        .arg("--hold")
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start the process that holds the descriptor")
}

fn shared_dup(env: &Env) -> Result<()> {
    let (device, session) = attach(env)?;
    let other = device.try_clone()?;
    drop(device);
    expect_attached(&session, true, "with the second descriptor")?;
    other.remove(session.fd())?;
    other.add(session.fd(), 0)?;
    drop(other);
    expect_attached(&session, false, "after both were closed")
}

fn shared_inherited(env: &Env) -> Result<()> {
    let (device, session) = attach(env)?;
    let mut child = holder(device)?;
    expect_attached(&session, true, "while the child has it")?;
    drop(child.stdin.take());
    child.wait()?;
    expect_attached(&session, false, "after the child's exit")
}

fn shared_killed(env: &Env) -> Result<()> {
    let (device, session) = attach(env)?;
    let mut child = holder(device)?;
    expect_attached(&session, true, "while the child has it")?;
    child.kill()?;
    child.wait()?;
    expect_attached(&session, false, "after the child was killed")
}

fn shared_passed(env: &Env) -> Result<()> {
    let (device, session) = attach(env)?;
    let (here, there) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    send(&here, device)?;
    expect_attached(&session, true, "while it is in the socket")?;
    let device = receive(&there)?;
    expect_attached(&session, true, "after it came out")?;
    device.remove(session.fd())?;
    device.add(session.fd(), 0)?;

    // Nobody takes it out this time.
    send(&here, device)?;
    expect_attached(&session, true, "while it is in the socket again")?;
    drop((here, there));
    // Closing a socket frees what is in it by way of a work item.
    super::wait_for("the descriptor in the socket is closed", || {
        let before = session.hits()?.ret;
        session.test_run()?;
        Ok(session.hits()?.ret == before)
    })
}

fn send(socket: &OwnedFd, device: Device) -> Result<()> {
    socket::send(socket.as_fd(), &[device.as_fd()])
}

fn receive(socket: &OwnedFd) -> Result<Device> {
    let fd = socket::receive(socket.as_fd())?.into_iter().next();
    let fd = fd.context("no descriptor came through the socket")?;
    Ok(Device::from(fd))
}
