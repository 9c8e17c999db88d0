// SPDX-License-Identifier: GPL-2.0

//! A process that was given the descriptor of a trampoline and that of a program: it tries
//! everything, and prints what became of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use anyhow::{ensure, Context, Result};
use rustix::thread::{unshare_unsafe, UnshareFlags};

use crate::bpf;
use crate::device::{abi, Device};
use crate::hooks;
use crate::probe::Kind;
use crate::socket;

/// Where the process has its descriptors from.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum From {
    /// They come through the socket that is its standard input.
    Socket,
    /// The same, and it makes a user namespace of its own first, which gives it every
    /// capability in there.
    Userns,
}

/// Starts the process, with the credentials of the current thread.
pub fn start(from: From, socket: OwnedFd) -> Result<Child> {
    let from = match from {
        From::Socket => "socket",
        From::Userns => "userns",
    };
    Command::new("/proc/self/exe")
        .arg(format!("--holder={from}"))
        .stdin(socket)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start another process")
}

/// What it tried, and the errno that it got: 0 for success.
pub fn results(child: Child) -> Result<BTreeMap<String, i32>> {
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {text}", output.status);
    let lines = text.lines().map(|line| {
        let (what, errno) = line.split_once(' ').context("no errno")?;
        Ok((what.to_owned(), errno.parse()?))
    });
    lines.collect()
}

/// What the process does.
pub fn act(from: From) -> Result<()> {
    if let From::Userns = from {
        // SAFETY: There is no other thread, and descriptors stay what they are.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.context("unshare()")?;
    }
    let fds: [OwnedFd; 2] = socket::receive(io::stdin().as_fd())?
        .try_into()
        .ok()
        .context("not two descriptors")?;
    let [device, prog] = fds;
    let device = Device::from(device);
    say("open", Device::open())?;
    let again = format!("/proc/self/fd/{}", device.as_fd().as_raw_fd());
    say("reopen", File::open(again))?;
    say("mode", hooks::write("off"))?;
    say("info", device.info())?;
    say("read", device.image())?;
    let (mut rust, mut case) = ([0u8; 4096], abi::Case::default());
    case.arena_prog_fd = -1;
    case.flags = 1;
    case.rust_image = rust.as_mut_ptr() as u64;
    say("compare", device.compare(&mut case))?;
    say("remove", device.remove(prog.as_fd()))?;
    // What the kernel allows with such a descriptor.
    let session = Kind::Session.attach_type();
    say("link", bpf::link(prog.as_fd(), session, 0))?;
    say("add", device.add(prog.as_fd(), 0))
}

fn say<T>(what: &str, result: io::Result<T>) -> Result<()> {
    let errno = result
        .err()
        .map_or(0, |err| err.raw_os_error().unwrap_or(-1));
    Ok(writeln!(io::stdout(), "{what} {errno}")?)
}
