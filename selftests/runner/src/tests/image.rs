// SPDX-License-Identifier: GPL-2.0

//! The image as user space sees it. That it equals the C builder's is checked
//! at every change of every test.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{ensure, Result};

use super::{pause, sleeper, wait_for};
use crate::device::flag::{CALL_ORIG, IP_ARG, RESTORE_REGS};
use crate::harness::Env;
use crate::image;
use crate::kallsyms::{self, IMAGE_PREFIX};
use crate::probe::{Kind, Spec};

const TARGET: &str = "bpf_fentry_test5";

tests! {
    image_info: "counts, flags and target by what is attached",
    image_shape: "begins, ends and calls its target as it should",
    image_read: "read() and pread() give its bytes, then end of file",
    image_generation: "every change builds a new image at a new address",
    image_sleeper: "it lives until a task has left it, then it is freed",
    image_kallsyms: "kallsyms names it, and only while it is there",
}

fn image_info(env: &Env) -> Result<()> {
    let device = env.device()?;
    let nothing = device.info()?;
    ensure!(
        nothing.target().is_empty() && nothing.target_addr == 0 && nothing.generation == 0,
        "before the first program: {nothing:?}"
    );

    let log = env.log()?;
    let tramp = env.trampoline()?;
    let fentry = log.load(Spec::new(Kind::Fentry, TARGET))?;
    let fexit = log.load(Spec::new(Kind::Fexit, TARGET))?;
    let session = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    let with_ip = log.load(Spec::new(Kind::Session, TARGET).ip())?;
    let steps = [
        (&fentry, RESTORE_REGS, [1, 0, 0, 0, 0]),
        (&fexit, CALL_ORIG, [1, 1, 0, 0, 0]),
        (&session, CALL_ORIG, [1, 1, 0, 1, 1]),
        (&with_ip, CALL_ORIG | IP_ARG, [1, 1, 0, 2, 1]),
    ];
    for (probe, flags, counts) in steps {
        tramp.add(probe)?;
        let info = tramp.device().expect("opened above").info()?;
        check_eq!(info.target(), TARGET, "target");
        check_eq!(
            info.target_addr,
            kallsyms::address_of(TARGET)?,
            "its address"
        );
        check_eq!(
            info.flags & (RESTORE_REGS | CALL_ORIG | IP_ARG),
            flags,
            "flags"
        );
        let seen = [
            info.nr_fentry,
            info.nr_fexit,
            info.nr_fmod_ret,
            info.nr_fsession,
            info.nr_cookies,
        ];
        check_eq!(seen, counts, "fentry, fexit, fmod_ret, sessions, cookies");
    }
    Ok(())
}

fn image_shape(env: &Env) -> Result<()> {
    let device = env.device()?;
    let log = env.log()?;
    for kind in [Kind::Fentry, Kind::Session, Kind::Fexit, Kind::Session] {
        let probe = log.load(Spec::new(kind, TARGET).cookie_if(kind == Kind::Session))?;
        device.add(probe.fd(), 0)?;
        image::check(&device.image()?, &device.info()?)?;
    }
    Ok(())
}

fn image_read(env: &Env) -> Result<()> {
    let device = env.device()?;
    let mut buf = [0; 8192];
    check_eq!(
        rustix::io::read(device.as_fd(), &mut buf)?,
        0,
        "bytes without an image"
    );

    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    device.add(session.fd(), 0)?;
    let image = device.image()?;
    let len = image.len();
    check_eq!(len, device.info()?.code_size as usize, "bytes");

    // Byte by byte, in pieces that cross the end, and behind it.
    for (at, byte) in image.iter().enumerate() {
        check_eq!(
            rustix::io::pread(device.as_fd(), &mut buf[..1], at as u64)?,
            1,
            "byte {at}"
        );
        check_eq!(buf[0], *byte, "byte {at}");
    }
    check_eq!(
        rustix::io::pread(device.as_fd(), &mut buf, len as u64 - 3)?,
        3,
        "last bytes"
    );
    check_eq!(buf[..3], image[len - 3..], "last bytes");
    for behind in [
        len as u64,
        len as u64 + 1,
        1 << 40,
        i64::MAX as u64 - buf.len() as u64,
    ] {
        check_eq!(
            rustix::io::pread(device.as_fd(), &mut buf, behind)?,
            0,
            "at {behind:#x}"
        );
    }

    // read() goes on where it was.
    check_eq!(
        rustix::io::read(device.as_fd(), &mut buf[..10])?,
        10,
        "first bytes"
    );
    check_eq!(buf[..10], image[..10], "first bytes");
    check_eq!(
        rustix::io::read(device.as_fd(), &mut buf)?,
        len - 10,
        "the rest"
    );
    check_eq!(buf[..len - 10], image[10..], "the rest");
    check_eq!(rustix::io::read(device.as_fd(), &mut buf)?, 0, "at the end");
    Ok(())
}

fn image_generation(env: &Env) -> Result<()> {
    let device = env.device()?;
    let log = env.log()?;
    let mut last = device.info()?;
    for _ in 0..3 {
        let session = log.load(Spec::new(Kind::Session, TARGET))?;
        device.add(session.fd(), 0)?;
        let info = device.info()?;
        ensure!(
            info.generation > last.generation && info.image_addr != last.image_addr,
            "image {} at {:#x} after image {} at {:#x}",
            info.generation,
            info.image_addr,
            last.generation,
            last.image_addr
        );
        last = info;
    }
    Ok(())
}

fn image_kallsyms(env: &Env) -> Result<()> {
    let device = env.device()?;
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, TARGET))?;
    device.add(session.fd(), 0)?;
    let info = device.info()?;
    let found = |addr| {
        let images = kallsyms::images()?;
        Ok::<_, anyhow::Error>(images.into_iter().find(|symbol| symbol.addr == addr))
    };
    ensure!(
        found(info.image_addr)?.is_some(),
        "no {IMAGE_PREFIX}* at {:#x}",
        info.image_addr
    );
    drop(device);
    wait_for("kallsyms forgets the image", || {
        Ok(found(info.image_addr)?.is_none())
    })
}

fn image_sleeper(env: &Env) -> Result<()> {
    let device = env.device()?;
    let spec = Spec::new(Kind::Session, sleeper::TARGET).this_process();
    let session = env.log()?.load(spec)?;
    device.add(session.fd(), 0)?;
    let image = device.info()?.image_addr;
    let is_there = || -> Result<bool> {
        Ok(kallsyms::images()?
            .iter()
            .any(|symbol| symbol.addr == image))
    };
    ensure!(is_there()?, "kallsyms does not show the image");
    sleeper::while_asleep(&session, || {
        drop(device);
        // Long enough for every grace period but the sleeper's own.
        pause(Duration::from_secs(1));
        ensure!(is_there()?, "the image is gone under a task that is in it");
        Ok(())
    })?;
    wait_for("the image is freed", || Ok(!is_there()?))
}
