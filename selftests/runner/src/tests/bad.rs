// SPDX-License-Identifier: GPL-2.0

//! Bad input: each has its errno, and leaves everything as it was.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use super::{cookie, wait_for};
use crate::badinput::{self, Plan};
use crate::bpf;
use crate::device::{abi, Device, Info};
use crate::harness::Env;
use crate::probe::{Kind, Probe, Spec};

const TARGET: &str = "bpf_fentry_test1";
const OTHER_TARGET: &str = "bpf_fentry_test2";

/// An address that user space never has.
const NO_ADDRESS: *mut libc::c_void = (1usize << 63) as *mut libc::c_void;

tests! {
    bad_descriptor: "EBADF for a descriptor that is not open",
    bad_file: "EINVAL for a descriptor of something else",
    bad_program_type: "EINVAL for programs that have no trampoline",
    bad_second_target: "EINVAL for a program of another function",
    bad_twice: "EBUSY for a program that is attached already",
    bad_flags: "EINVAL for flags",
    bad_request: "ENOTTY for unknown requests",
    bad_pointer: "EFAULT for bad addresses",
    bad_remove: "ENOENT for a program that is not attached",
    bad_read: "EFAULT for a bad buffer",
    bad_cookie_too_many: "one cookie more is E2BIG and changes nothing",
    bad_input_random: "documented errnos only for random calls (badinput)",
    bad_input_leak: "no program is kept after an error",
}

/// A device with a session on it, which must be what it was after each error.
struct Busy {
    device: Device,
    session: Probe,
    before: (Info, Vec<u8>),
}

fn busy(env: &Env) -> Result<Busy> {
    let device = env.device()?;
    let session = env
        .log()?
        .load(Spec::new(Kind::Session, TARGET).cookie().quiet())?;
    device.add(session.fd(), 0)?;
    let before = (device.info()?, device.image()?);
    Ok(Busy {
        device,
        session,
        before,
    })
}

impl Busy {
    fn unchanged(&self) -> Result<()> {
        let (info, image) = &self.before;
        let now = self.device.info()?;
        ensure!(
            now.image_addr == info.image_addr && now.nr_progs() == info.nr_progs(),
            "the trampoline has changed: {now:?}"
        );
        ensure!(self.device.image()? == *image, "the image has changed");
        let runs = self.session.hits()?.ret;
        self.session.test_run()?;
        check_eq!(self.session.hits()?.ret, runs + 1, "runs of the session");
        Ok(())
    }
}

/// A new descriptor must give the same error as one with programs.
fn both(env: &Env, check: impl Fn(&Device) -> Result<()>) -> Result<()> {
    check(&env.device()?)?;
    let busy = busy(env)?;
    check(&busy.device)?;
    busy.unchanged()
}

fn add(device: &Device, prog_fd: u32) -> std::io::Result<()> {
    device.add_raw(&abi::Add {
        prog_fd,
        ..Default::default()
    })
}

fn remove(device: &Device, prog_fd: u32) -> std::io::Result<()> {
    device.remove_raw(&abi::Remove {
        prog_fd,
        ..Default::default()
    })
}

fn bad_descriptor(env: &Env) -> Result<()> {
    both(env, |device| {
        for fd in [1000, i32::MAX as u32, 1 << 31, u32::MAX] {
            check_errno!(add(device, fd), EBADF, "adding descriptor {fd:#x}");
            check_errno!(remove(device, fd), EBADF, "removing descriptor {fd:#x}");
        }
        Ok(())
    })
}

fn bad_file(env: &Env) -> Result<()> {
    let file = File::open("/proc/self/exe")?;
    let log = env.log()?;
    let map = log.events_fd();
    both(env, |device| {
        for fd in [file.as_fd(), map, device.as_fd()] {
            let nr = fd.as_raw_fd().unsigned_abs();
            check_errno!(add(device, nr), EINVAL, "adding {fd:?}");
            check_errno!(remove(device, nr), EINVAL, "removing {fd:?}");
        }
        Ok(())
    })
}

fn bad_program_type(env: &Env) -> Result<()> {
    let object = bpf::open(&env.bpf, "other")?.load()?;
    let device = env.device()?;
    for name in ["no_socket_filter", "no_kprobe", "no_tracepoint"] {
        let prog = bpf::fd(&object, name)?;
        check_errno!(device.add(prog.as_fd(), 0), EINVAL, "adding a {name}");
    }
    let busy = busy(env)?;
    for name in ["no_socket_filter", "no_kprobe", "no_tracepoint"] {
        let prog = bpf::fd(&object, name)?;
        check_errno!(busy.device.add(prog.as_fd(), 0), EINVAL, "adding a {name}");
    }
    busy.unchanged()
}

fn bad_second_target(env: &Env) -> Result<()> {
    let busy = busy(env)?;
    let log = env.log()?;
    for kind in [Kind::Session, Kind::Fentry, Kind::Fexit] {
        let other = log.load(Spec::new(kind, OTHER_TARGET))?;
        check_errno!(
            busy.device.add(other.fd(), 0),
            EINVAL,
            "adding another target"
        );
        other.test_run()?;
        check_eq!(
            other.hits()?.entry + other.hits()?.ret,
            0,
            "runs of the refused program"
        );
    }
    busy.unchanged()
}

fn bad_twice(env: &Env) -> Result<()> {
    let busy = busy(env)?;
    let again = busy.device.add(busy.session.fd(), 0);
    check_errno!(again, EBUSY, "adding a session twice");
    let again = busy.device.add(busy.session.fd(), 7);
    check_errno!(
        again,
        EBUSY,
        "adding a session twice, with another BPF cookie"
    );
    let elsewhere = env.device()?.add(busy.session.fd(), 0);
    check_errno!(elsewhere, EBUSY, "adding a session on another descriptor");
    busy.unchanged()
}

fn bad_flags(env: &Env) -> Result<()> {
    let busy = busy(env)?;
    let other = env.log()?.load(Spec::new(Kind::Fentry, TARGET))?;
    for flags in [1, 1 << 31, u32::MAX] {
        let request = abi::Add {
            prog_fd: other.fd().as_raw_fd().unsigned_abs(),
            flags,
            bpf_cookie: 0,
        };
        check_errno!(
            busy.device.add_raw(&request),
            EINVAL,
            "adding with flags {flags:#x}"
        );
        let request = abi::Remove {
            prog_fd: busy.session.fd().as_raw_fd().unsigned_abs(),
            flags,
        };
        check_errno!(
            busy.device.remove_raw(&request),
            EINVAL,
            "removing with flags {flags:#x}"
        );
    }
    busy.unchanged()
}

fn bad_request(env: &Env) -> Result<()> {
    // The size and the direction are part of a request's number.
    let unknown = [
        0,
        abi::IOC_ADD + 0x3f,
        abi::IOC_ADD ^ (1 << 30),
        abi::IOC_INFO ^ (1 << 31),
        abi::IOC_INFO + (8 << 16),
        abi::IOC_REMOVE ^ 0x0100,
        u32::MAX,
    ];
    both(env, |device| {
        for request in unknown {
            // SAFETY: No driver could do anything with this address.
            let result = unsafe { device.ioctl(request, NO_ADDRESS) };
            check_errno!(result, ENOTTY, "request {request:#x}");
        }
        Ok(())
    })
}

fn bad_pointer(env: &Env) -> Result<()> {
    both(env, |device| {
        for request in [abi::IOC_ADD, abi::IOC_REMOVE, abi::IOC_INFO] {
            for arg in [
                std::ptr::null_mut(),
                NO_ADDRESS,
                usize::MAX as *mut libc::c_void,
            ] {
                // SAFETY: User space has none of these addresses.
                let result = unsafe { device.ioctl(request, arg) };
                check_errno!(result, EFAULT, "request {request:#x} with {arg:?}");
            }
        }
        Ok(())
    })
}

fn bad_remove(env: &Env) -> Result<()> {
    let busy = busy(env)?;
    let log = env.log()?;
    let never = log.load(Spec::new(Kind::Session, TARGET))?;
    check_errno!(
        busy.device.remove(never.fd()),
        ENOENT,
        "removing what was never added"
    );
    check_errno!(
        env.device()?.remove(never.fd()),
        ENOENT,
        "removing from a new descriptor"
    );
    let elsewhere = env.device()?.remove(busy.session.fd());
    check_errno!(elsewhere, ENOENT, "removing what is attached elsewhere");
    busy.device.add(never.fd(), 0)?;
    busy.device.remove(never.fd())?;
    check_errno!(busy.device.remove(never.fd()), ENOENT, "removing twice");
    Ok(())
}

fn bad_read(env: &Env) -> Result<()> {
    let busy = busy(env)?;
    // SAFETY: User space has no such address.
    let ret = unsafe { libc::read(busy.device.as_fd().as_raw_fd(), NO_ADDRESS, 16) };
    let result = if ret < 0 {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(ret)
    };
    check_errno!(result, EFAULT, "reading into nowhere");
    busy.unchanged()
}

/// A short run of `make badinput`.
fn bad_input_random(env: &Env) -> Result<()> {
    env.device()?;
    let plan = Plan {
        seed: 1,
        calls: u64::MAX,
        time: Duration::from_secs(10),
        threads: 2,
        process: false,
    };
    let report = badinput::run(env, &plan)?;
    println!("{}", report.answers);
    ensure!(report.calls > 500, "only {} calls", report.calls);
    Ok(())
}

fn bad_input_leak(env: &Env) -> Result<()> {
    let busy = busy(env)?;
    let log = env.log()?;
    let other_target = log.load(Spec::new(Kind::Session, OTHER_TARGET))?;
    let not_attached = log.load(Spec::new(Kind::Session, TARGET))?;
    let twice = log.load(Spec::new(Kind::Session, TARGET))?;
    busy.device.add(twice.fd(), 0)?;
    for _ in 0..3 {
        check_errno!(
            busy.device.add(other_target.fd(), 0),
            EINVAL,
            "adding another target"
        );
        check_errno!(busy.device.remove(not_attached.fd()), ENOENT, "removing");
        check_errno!(busy.device.add(twice.fd(), 0), EBUSY, "adding twice");
    }
    busy.device.remove(twice.fd())?;
    for probe in [other_target, not_attached, twice] {
        let id = probe.prog_id()?;
        drop(probe);
        wait_for("a refused program is freed", || Ok(!bpf::prog_exists(id)))?;
    }
    Ok(())
}

fn bad_cookie_too_many(env: &Env) -> Result<()> {
    // The kernel itself has no limit of its own for them.
    let log = env.log()?;
    let (tramp, sessions) = cookie::add_most(env, &log)?;
    let device = tramp.device().context("no device")?;
    let before = (device.info()?.image_addr, device.image()?);

    let one_more = log.load(Spec::new(Kind::Session, cookie::TARGET).cookie())?;
    check_errno!(
        tramp.try_add(&one_more, 0),
        E2BIG,
        "a session cookie too many"
    );
    ensure!(
        (device.info()?.image_addr, device.image()?) == before,
        "the image has changed"
    );
    check_eq!(
        device.info()?.nr_cookies,
        abi::MAX_COOKIES,
        "number of cookies"
    );
    sessions[0].test_run()?;
    cookie::check_cookies(&log.take_exactly::<8>()?, |_| true)?;

    // A session without one is no cookie too many, and a slot can be freed.
    let without = log.load(Spec::new(Kind::Session, cookie::TARGET))?;
    tramp.add(&without)?;
    tramp.remove(&sessions[1])?;
    tramp.add(&one_more)?;
    sessions[0].test_run()?;
    cookie::check_cookies(&log.take_exactly::<10>()?, |id| id != without.id)
}
