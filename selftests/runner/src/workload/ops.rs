// SPDX-License-Identifier: GPL-2.0

//! struct_ops: programs that the kernel calls through tables of functions.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::{ensure, Context, Result};
use libbpf_rs::{Link, MapCore, Object, ProgramInput};

use super::Report;
use crate::bpf;
use crate::harness::Env;

const CONGESTION_CONTROL: &str = "rf_counting";

/// `calls` of the object, by what TCP calls.
pub type Calls = [u64; 8];
pub const INIT: usize = 0;
pub const RELEASE: usize = 1;
pub const CONG_AVOID: usize = 4;

pub fn run(env: &Env, report: &mut Report) -> Result<()> {
    let mut object = bpf::open(&env.bpf, "ops")?
        .load()
        .context("cannot load the struct_ops programs")?;
    dummy(&object, report)?;
    congestion_control(&mut object, report)
}

/// The kernel makes an image for each of these runs.
fn dummy(object: &Object, report: &mut Report) -> Result<()> {
    let state = 0u32;
    let state = std::ptr::from_ref(&state) as u64;
    test_run(object, "dummy_1", &mut [0], 0x5f5f)?;
    test_run(object, "dummy_1", &mut [state], 1)?;
    test_run(object, "dummy_2", &mut [state, 1, 20, 30, 400], 451)?;
    test_run(object, "dummy_sleepable", &mut [state], 7)?;
    report.programs += 3;
    report.images += 4;
    Ok(())
}

fn test_run(object: &Object, name: &str, args: &mut [u64], expected: u32) -> Result<()> {
    let mut found = object.progs_mut().filter(|prog| prog.name() == name);
    let prog = found.next().with_context(|| format!("no {name}"))?;
    let input = ProgramInput {
        context_in: Some(bytemuck::cast_slice_mut(args)),
        ..Default::default()
    };
    let output = prog.test_run(input).with_context(|| name.to_owned())?;
    ensure!(
        output.return_value == expected,
        "{name} returns {} instead of {expected}",
        output.return_value
    );
    Ok(())
}

/// TCP over the loopback device, with a congestion control of programs.
fn congestion_control(object: &mut Object, report: &mut Report) -> Result<()> {
    let link = register(object).context("cannot register a congestion control")?;
    report.programs += 5;
    report.images += 5;

    talk()?;
    drop(link);

    let calls: Calls = bpf::globals(object, ".bss")?;
    ensure!(
        [INIT, RELEASE, CONG_AVOID].iter().all(|at| calls[*at] > 0),
        "TCP did not call its congestion control: {calls:?}"
    );
    Ok(())
}

/// Has two sockets with this congestion control talk to each other.
pub fn talk() -> Result<()> {
    loopback_up()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    set_congestion_control(listener.as_fd(), CONGESTION_CONTROL)?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    set_congestion_control(client.as_fd(), CONGESTION_CONTROL)?;
    let (mut server, _) = listener.accept()?;
    let sent = [b'x'; 4096];
    client.write_all(&sent)?;
    let mut received = [0; 4096];
    server.read_exact(&mut received)?;
    server.write_all(&sent)?;
    client.read_exact(&mut received)?;
    ensure!(received == sent, "TCP gives other bytes");
    // Nobody uses it any more, so it can go.
    set_congestion_control(client.as_fd(), "reno")?;
    set_congestion_control(server.as_fd(), "reno")?;
    Ok(())
}

/// Registers the congestion control of `object`.
pub fn register(object: &mut Object) -> Result<Link> {
    let mut found = object.maps_mut().filter(|map| map.name() == "counting_cc");
    let mut map = found.next().context("no counting_cc")?;
    Ok(map.attach_struct_ops()?)
}

fn set_congestion_control(socket: BorrowedFd<'_>, name: &str) -> Result<()> {
    // SAFETY: The option is a name of this length.
    let ret = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    };
    ensure!(
        ret == 0,
        "TCP_CONGESTION {name}: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// In a virtual machine nobody else does this.
fn loopback_up() -> Result<()> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // SAFETY: All bytes zero are an `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: `request` is what this request takes.
    let ret = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    ensure!(
        ret == 0,
        "cannot set the loopback device up: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}
