// SPDX-License-Identifier: GPL-2.0

//! What the kernel has before anything begins, and after everything has ended: it must
//! be the same.

mod kcore;
mod slab;

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use super::programs::What;
use super::stage::Stage;
use crate::bpf;
use crate::device::Device;
use crate::hooks::{self, Mode, Stats};
use crate::kallsyms;
use crate::kmod;

/// How long the kernel may take to free what nobody uses.
const FREED: Duration = Duration::from_secs(40);

/// How often in a row they must be counted alike.
const SAME: u32 = 5;

const ENABLED: &str = "/sys/kernel/tracing/enabled_functions";
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// What there is, with the module idle.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Books {
    programs: u64,
    links: u64,
    images: usize,
    /// Functions that ftrace has a user on.
    traced: usize,
    /// Pages of executable memory that are charged.
    jit: Option<u64>,
    references: u64,
}

pub struct Accounts {
    before: Books,
    slab: Option<slab::Objects>,
    /// What other modules have from their init, whose code is gone.
    gone: Option<slab::Objects>,
}

impl Accounts {
    /// Everything is used once, so that what stays from the first time is there.
    pub fn open(stage: &Stage) -> Result<Self> {
        warm_up(stage)?;
        let accounts = Self {
            before: quiet(|_| true)?,
            slab: slab::Objects::of_module()?,
            gone: slab::Objects::of_gone()?,
        };
        println!("before: {:?}", accounts.before);
        if accounts.slab.is_none() {
            println!("not here: objects of the slab allocator, counted by who has them");
        }
        warm_up(stage)?;
        accounts.check().context("after the first use")?;
        Ok(accounts)
    }

    /// Some objects are freed a grace period later.
    fn check_gone(&self) -> Result<()> {
        let deadline = Instant::now() + FREED / 2;
        loop {
            let (Some(before), Some(after)) = (&self.gone, slab::Objects::of_gone()?) else {
                return Ok(());
            };
            match after.check(before) {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(500)),
                checked => return checked.context("from a module that is gone"),
            }
        }
    }

    fn check(&self) -> Result<()> {
        let after = quiet(|books| *books == self.before)?;
        ensure!(
            after == self.before,
            "left over: {after:?}, before {:?}",
            self.before
        );
        if let (Some(before), Some(after)) = (&self.slab, slab::Objects::of_module()?) {
            after.check(before)?;
        }
        Ok(())
    }

    /// Nothing is left of what was done since.
    pub fn close(&self, stage: &Stage) -> Result<()> {
        if !kmod::is_loaded() {
            kmod::load(&stage.module).context("cannot load the module at the end")?;
        }
        Stats::read()?.check_clean()?;
        warm_up(stage)?;
        self.check()?;
        closing(stage)?;
        unload()?;
        self.check_gone()?;
        slab::validate()?;
        check_kmemleak()
    }
}

/// The counts, once they are `good` or as they stay.
fn quiet(good: impl Fn(&Books) -> bool) -> Result<Books> {
    let deadline = Instant::now() + FREED;
    let (mut last, mut same) = (Books::read()?, 0);
    loop {
        thread::sleep(Duration::from_millis(200));
        let books = Books::read()?;
        same = if books == last { same + 1 } else { 0 };
        let late = Instant::now() > deadline;
        if late || (books.references == 0 && same >= SAME) {
            // To count them takes longer than all the rest.
            let books = Books {
                images: kallsyms::all_images()?.len(),
                ..books
            };
            if late || good(&books) {
                return Ok(books);
            }
        }
        last = books;
    }
}

impl Books {
    fn read() -> Result<Self> {
        let read =
            |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        Ok(Self {
            programs: count_ids(libbpf_sys::bpf_prog_get_next_id)?,
            links: count_ids(libbpf_sys::bpf_link_get_next_id)?,
            images: 0,
            traced: read(ENABLED)?.lines().count(),
            jit: kcore::charged()?,
            references: kmod::references()?.into(),
        })
    }
}

fn count_ids(next: unsafe extern "C" fn(u32, *mut u32) -> i32) -> Result<u64> {
    let (mut id, mut count) = (0, 0);
    // SAFETY: The pointer is good for the call.
    while unsafe { next(id, &mut id) } == 0 {
        count += 1;
    }
    Ok(count)
}

/// Programs by the device and by a link, and the hooks once installed.
fn warm_up(stage: &Stage) -> Result<()> {
    let programs = &stage.programs;
    hooks::write(Mode::Takeover.name()).context("cannot install the hooks")?;
    for (what, name) in [
        (What::WithCookie, "bpf_fentry_test3"),
        (What::Fentry, "bpf_fentry_test4"),
    ] {
        let prog = programs.load_for(what, false, programs.function(name)?.id)?;
        let link = bpf::link(prog.as_fd(), what.kind().attach_type(), 0)?;
        bpf::test_run(prog.as_fd())?;
        drop(link);
        let device = Device::open()?;
        device.add(prog.as_fd(), 0)?;
        bpf::test_run(prog.as_fd())?;
        device.remove(prog.as_fd())?;
    }
    hooks::write(Mode::Off.name())?;
    Ok(())
}

/// Who closes the last descriptor waits until the images are gone, and no longer.
fn closing(stage: &Stage) -> Result<()> {
    const MOST: Duration = Duration::from_millis(1900);
    let programs = &stage.programs;
    let id = programs.function("bpf_fentry_test3")?.id;
    let (mut times, mut places) = (Vec::new(), BTreeSet::new());
    for _ in 0..4 {
        let prog = programs.load_for(What::WithCookie, false, id)?;
        let device = Device::open()?;
        device.add(prog.as_fd(), 0)?;
        places.insert(device.info()?.image_addr);
        bpf::test_run(prog.as_fd())?;
        let begin = Instant::now();
        drop(device);
        let closed = begin.elapsed();
        while kmod::references()? != 0 {
            ensure!(
                begin.elapsed() < FREED,
                "the module stays in use after the last close"
            );
            thread::sleep(Duration::from_millis(2));
        }
        times.push((closed, begin.elapsed() - closed));
    }
    // No account tells executable memory that is free from what is lost in a page.
    ensure!(
        places.len() < times.len(),
        "the memory of no image is used again: {places:x?}"
    );
    ensure!(
        times.iter().any(|(closed, _)| *closed < MOST),
        "closing the last descriptor waits for nothing: {times:.1?}"
    );
    ensure!(
        times.iter().any(|(closed, after)| after < closed),
        "closing the last descriptor does not wait: {times:.1?}"
    );
    Ok(())
}

fn unload() -> Result<()> {
    let deadline = Instant::now() + FREED;
    while let Err(err) = kmod::unload() {
        if Instant::now() > deadline {
            bail!("the module cannot be unloaded: {err}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    for path in [
        "/sys/module/rust_fsession",
        "/dev/rust_fsession",
        "/sys/kernel/debug/rust_fsession",
    ] {
        ensure!(!fs::exists(path)?, "{path} is there without the module");
    }
    ensure!(
        kallsyms::images()?.is_empty(),
        "images of a module that is gone"
    );
    Ok(())
}

fn check_kmemleak() -> Result<()> {
    if !fs::exists(KMEMLEAK)? {
        println!("  not here: kmemleak");
        return Ok(());
    }
    // What is new is not reported by the first scan.
    for _ in 0..3 {
        fs::write(KMEMLEAK, "scan").context("kmemleak")?;
        thread::sleep(Duration::from_secs(6));
    }
    let found = fs::read_to_string(KMEMLEAK)?;
    ensure!(found.trim().is_empty(), "kmemleak found:\n{found}");
    Ok(())
}
