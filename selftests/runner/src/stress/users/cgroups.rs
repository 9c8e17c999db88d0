// SPDX-License-Identifier: GPL-2.0

//! Programs of LSM hooks for one cgroup. They share a trampoline of the hook, whose image
//! passes from C to Rust and back as the programs change.

use std::fs::{self, File};
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use anyhow::{ensure, Result};

use crate::bpf;
use crate::stress::board::Count;
use crate::stress::programs::LSM_PLACE;
use crate::stress::turn::Turn;

pub const CGROUPS: &str = "/tmp/cgroup";

pub fn missing() -> Option<String> {
    if !fs::exists(format!("{CGROUPS}/cgroup.procs")).unwrap_or(false) {
        return Some(format!("no cgroup2 in {CGROUPS}"));
    }
    match fs::read_to_string("/sys/kernel/security/lsm") {
        Ok(modules) if modules.split(',').any(|module| module.trim() == "bpf") => None,
        Ok(modules) => Some(format!("no bpf among the security modules: {modules}")),
        Err(err) => Some(format!("/sys/kernel/security/lsm: {err}")),
    }
}

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let id = turn.stage.programs.function("bpf_lsm_socket_create")?.id;
    let path = format!("{CGROUPS}/lsm{}", turn.instance);
    if !fs::exists(&path)? {
        fs::create_dir(&path)?;
    }
    fs::write(
        format!("{path}/cgroup.procs"),
        std::process::id().to_string(),
    )?;
    let cgroup = File::open(&path)?;
    let mut links: Vec<OwnedFd> = Vec::new();
    while turn.next()? {
        if links.len() > 2 || (!links.is_empty() && turn.draw.once_in(2)) {
            turn.say("detach from a cgroup")?;
            links.remove(0);
            turn.count(Count::Detached, 1);
        } else {
            turn.say("attach to a cgroup")?;
            match attach(turn, &cgroup, id) {
                Ok(link) => {
                    links.push(link);
                    turn.count(Count::Attached, 1);
                }
                Err(err) => {
                    ensure!(
                        turn.stage.may_fail(&err),
                        "cannot attach to a cgroup: {err}"
                    );
                    turn.count(Count::Refused, 1);
                }
            }
        }
        let before = turn.stage.programs.seen(LSM_PLACE)?.entries;
        drop(UdpSocket::bind("127.0.0.1:0"));
        let after = turn.stage.programs.seen(LSM_PLACE)?.entries;
        // (One that runs on this CPU for somebody else is left out.)
        ensure!(
            after > before || links.is_empty(),
            "{} programs of a cgroup saw nothing of a new socket",
            links.len()
        );
        turn.count(Count::Events, after - before);
        turn.pause(30)?;
    }
    Ok(())
}

fn attach(turn: &Turn<'_>, cgroup: &File, id: u32) -> io::Result<OwnedFd> {
    let opts = libbpf_sys::bpf_prog_load_opts {
        expected_attach_type: libbpf_sys::BPF_LSM_CGROUP,
        attach_btf_id: id,
        ..Default::default()
    };
    let programs = &turn.stage.programs;
    let prog = programs.load_raw("lsm_cgroup", libbpf_sys::BPF_PROG_TYPE_LSM, opts)?;
    // SAFETY: The call takes no options.
    let fd = bpf::check(unsafe {
        libbpf_sys::bpf_link_create(
            prog.as_fd().as_raw_fd(),
            cgroup.as_raw_fd(),
            libbpf_sys::BPF_LSM_CGROUP,
            std::ptr::null(),
        )
    })?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
