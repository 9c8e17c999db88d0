// SPDX-License-Identifier: GPL-2.0

//! `fsession list`: the trampolines of all processes.

use std::fs;
use std::os::fd::RawFd;

use anyhow::Result;
use runner::device::{Device, PATH};
use runner::image;
use runner::kallsyms::Kallsyms;
use rustix::process::{pidfd_getfd, pidfd_open, Pid, PidfdFlags, PidfdGetfdFlags};

use crate::show;

#[derive(clap::Args)]
pub struct Args {
    /// Only those of this process
    pid: Option<i32>,

    /// The code of the images too
    #[arg(long)]
    code: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let mut any = false;
    for pid in pids()? {
        if args.pid.is_some_and(|wanted| wanted != pid.as_raw_pid()) {
            continue;
        }
        // A process may be gone by now, or not be ours to look into.
        let devices = devices(pid).unwrap_or_default();
        if devices.is_empty() {
            continue;
        }
        any = true;
        let pid = pid.as_raw_pid();
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        anstream::println!("{} ({pid})", show::bold(name.trim_end()));
        show::trampoline_header();
        for device in devices {
            let info = device.info()?;
            show::trampoline(&info);
            if args.code {
                println!();
                print!(
                    "{}",
                    image::listing(&device.image()?, info.image_addr, Kallsyms::load()?)
                );
                println!();
            }
        }
    }
    if !any {
        println!("No process has {PATH} open.");
    }
    Ok(())
}

fn pids() -> Result<Vec<Pid>> {
    let mut pids: Vec<_> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .collect();
    pids.sort_by_key(|pid| pid.as_raw_pid());
    Ok(pids)
}

/// The trampolines of a process: its descriptors, as ours.
fn devices(pid: Pid) -> Result<Vec<Device>> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let mut devices = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", pid.as_raw_pid()))? {
        let entry = entry?;
        if !fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == PATH) {
            continue;
        }
        let fd: RawFd = entry.file_name().to_string_lossy().parse()?;
        devices.push(pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty())?.into());
    }
    Ok(devices)
}
