// SPDX-License-Identifier: GPL-2.0

//! Many threads on one descriptor: each call is answered as if it were alone,
//! and what the answers say adds up.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{ensure, Context, Result};

use super::compare::{case, session, PAGE};
use super::wait_for;
use crate::device::{abi, Device, Info};
use crate::harness::Env;
use crate::kallsyms;
use crate::probe::{Kind, Log, Probe, Spec};

const TARGET: &str = "bpf_fentry_test1";
/// How many changes the threads make at least. Each waits for grace periods.
const CHANGES: u64 = 40;

tests! {
    concurrent_changes: "two threads for each program add and remove it",
    concurrent_readers: "INFO, read() and COMPARE beside changes and calls",
    concurrent_descriptors: "descriptors compete for one function, one has it",
    concurrent_close: "duplicates are closed while others use theirs",
}

fn load(log: &Log, kind: Kind) -> Result<Probe> {
    log.load(Spec::new(kind, TARGET).this_process().quiet())
}

/// Changes that were made, and those that were refused as they should be.
#[derive(Default)]
struct Made {
    added: AtomicU64,
    removed: AtomicU64,
    refused: AtomicU64,
}

impl Made {
    fn count(&self, result: io::Result<()>, count: &AtomicU64, errno: i32) -> Result<()> {
        match result {
            Ok(()) => count.fetch_add(1, Relaxed),
            Err(err) if err.raw_os_error() == Some(errno) => self.refused.fetch_add(1, Relaxed),
            Err(err) => return Err(err.into()),
        };
        Ok(())
    }

    /// Adds and removes the program until it is time to stop.
    fn toggle(&self, device: &Device, prog: BorrowedFd<'_>, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Relaxed) {
            self.count(device.add_only(prog, 0), &self.added, libc::EBUSY)
                .context("adding")?;
            self.count(device.remove_only(prog), &self.removed, libc::ENOENT)
                .context("removing")?;
        }
        Ok(())
    }

    fn changes(&self) -> u64 {
        self.added.load(Relaxed) + self.removed.load(Relaxed)
    }
}

/// Lets threads run until they have made enough changes, and fails if one of
/// them does.
fn for_a_while(
    stop: &AtomicBool,
    threads: Vec<ScopedJoinHandle<'_, Result<()>>>,
    changes: impl Fn() -> u64,
) -> Result<()> {
    let enough = wait_for("enough changes", || {
        Ok(changes() >= CHANGES || threads.iter().any(ScopedJoinHandle::is_finished))
    });
    stop.store(true, Relaxed);
    for thread in threads {
        thread.join().expect("no thread panics")?;
    }
    enough
}

fn changes(made: &[Made]) -> u64 {
    made.iter().map(Made::changes).sum()
}

/// A descriptor whose image never goes, and programs that come and go.
struct Shared {
    device: Device,
    stays: Probe,
    changing: Vec<Probe>,
}

impl Shared {
    fn new(env: &Env) -> Result<Self> {
        let device = env.device()?;
        let log = env.log()?;
        let kinds = [Kind::Fentry, Kind::Session, Kind::Fexit, Kind::Session];
        let stays = load(&log, Kind::Session)?;
        device.add(stays.fd(), 0)?;
        let changing = kinds.iter().map(|kind| load(&log, *kind));
        Ok(Self {
            device,
            stays,
            changing: changing.collect::<Result<_>>()?,
        })
    }

    /// The programs that are there are those that somebody added last.
    fn check(&self, made: &[Made], calls: u64) -> Result<()> {
        let changes = changes(made);
        let refused: u64 = made.iter().map(|made| made.refused.load(Relaxed)).sum();
        println!("{changes} changes, {refused} refused, {calls} calls");
        let info = self.device.info()?;
        check_eq!(
            u64::from(info.generation),
            1 + changes,
            "images for {changes} changes after the first"
        );
        let hits = self.stays.hits()?;
        check_eq!((hits.entry, hits.ret), (calls, calls), "runs");
        let mut attached = 1;
        for (probe, made) in self.changing.iter().zip(made) {
            let (added, removed) = (made.added.load(Relaxed), made.removed.load(Relaxed));
            let there = added.checked_sub(removed);
            ensure!(
                matches!(there, Some(0 | 1)),
                "{added} times added, {removed} times removed"
            );
            attached += u32::from(there == Some(1));
            let before = probe.hits()?;
            self.stays.test_run()?;
            let now = probe.hits()?;
            let runs = now.entry + now.ret - before.entry - before.ret;
            ensure!(
                (runs > 0) == (there == Some(1)),
                "a program added {added} times and removed {removed} times runs {runs} times"
            );
        }
        check_eq!(info.nr_progs(), attached, "programs");
        ensure!(info.is_identical(), "C builds another image: {info:?}");
        Ok(())
    }
}

fn concurrent_changes(env: &Env) -> Result<()> {
    let shared = Shared::new(env)?;
    let stop = AtomicBool::new(false);
    let made: Vec<_> = shared.changing.iter().map(|_| Made::default()).collect();
    thread::scope(|scope| {
        let (device, stop) = (&shared.device, &stop);
        let mut threads = Vec::new();
        for (probe, made) in shared.changing.iter().zip(&made) {
            let prog = probe.fd();
            for _ in 0..2 {
                threads.push(scope.spawn(move || made.toggle(device, prog, stop)));
            }
        }
        threads.push(scope.spawn(move || expect_each_once(device, stop)));
        for_a_while(stop, threads, || changes(&made))
    })?;
    shared.check(&made, 0)
}

/// However often it is tried, no program is there twice.
fn expect_each_once(device: &Device, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Relaxed) {
        let info = device.info()?;
        ensure!(
            info.nr_fentry <= 1 && info.nr_fexit <= 1 && info.nr_fsession <= 3,
            "a program is there twice: {info:?}"
        );
    }
    Ok(())
}

/// What a descriptor tells while others change it.
fn look(device: &Device, seen: &mut BTreeMap<u32, (Info, Vec<u8>)>) -> Result<()> {
    let before = device.info()?;
    let image = device.image()?;
    let after = device.info()?;
    let last = seen.last_key_value().map_or(0, |(last, _)| *last);
    ensure!(
        last <= before.generation && before.generation <= after.generation,
        "generation {last}, then {}, then {}",
        before.generation,
        after.generation
    );
    ensure!(
        before.is_identical() && before.nr_progs() >= 1 && before.target() == TARGET,
        "in the middle of a change: {before:?}"
    );
    if before.generation == after.generation {
        check_eq!(image.len(), before.code_size as usize, "bytes of code");
        let (info, known) = seen
            .entry(before.generation)
            .or_insert_with(|| (before, image.clone()));
        // In an image, only what skips a program may change, and nothing is detached in this one.
        ensure!(
            *known == image && info.image_addr == after.image_addr,
            "two images of generation {}",
            before.generation
        );
    }
    Ok(())
}

fn compare(device: &Device) -> Result<()> {
    let progs = session();
    let (mut rust, mut c) = (vec![0u8; PAGE], vec![0u8; PAGE]);
    let mut case = case(&progs);
    (case.rust_image, case.c_image) = (rust.as_mut_ptr() as u64, c.as_mut_ptr() as u64);
    device.compare(&mut case)?;
    check_eq!(case.verdict, abi::REFERENCE_IDENTICAL, "verdict");
    check_eq!(rust[..64], c[..64], "how the images begin");
    ensure!(rust[..64].iter().any(|byte| *byte != 0), "no image");
    Ok(())
}

fn concurrent_readers(env: &Env) -> Result<()> {
    let shared = Shared::new(env)?;
    let stop = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    let looks = AtomicU64::new(0);
    let made: Vec<_> = shared.changing.iter().map(|_| Made::default()).collect();
    thread::scope(|scope| {
        let (device, stop, calls, looks) = (&shared.device, &stop, &calls, &looks);
        let mut threads = Vec::new();
        for (probe, made) in shared.changing.iter().zip(&made) {
            let prog = probe.fd();
            threads.push(scope.spawn(move || made.toggle(device, prog, stop)));
        }
        for _ in 0..2 {
            threads.push(scope.spawn(move || {
                let mut seen = BTreeMap::new();
                while !stop.load(Relaxed) {
                    look(device, &mut seen)?;
                    looks.fetch_add(1, Relaxed);
                }
                Ok(())
            }));
            threads.push(scope.spawn(move || {
                while !stop.load(Relaxed) {
                    compare(device)?;
                    looks.fetch_add(1, Relaxed);
                }
                Ok(())
            }));
        }
        let prog = shared.stays.fd();
        threads.push(scope.spawn(move || {
            while !stop.load(Relaxed) {
                crate::bpf::test_run(prog)?;
                calls.fetch_add(1, Relaxed);
            }
            Ok(())
        }));
        for_a_while(stop, threads, || changes(&made))
    })?;
    println!("{} looks", looks.load(Relaxed));
    ensure!(looks.load(Relaxed) > 50 && calls.load(Relaxed) > 0, "idle");
    shared.check(&made, calls.load(Relaxed))
}

fn concurrent_descriptors(env: &Env) -> Result<()> {
    let log = env.log()?;
    let probes = (0..4).map(|_| load(&log, Kind::Session));
    let probes = probes.collect::<Result<Vec<_>>>()?;
    let (stop, held, turns) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    env.device()?;
    thread::scope(|scope| {
        let (stop, held, turns) = (&stop, &held, &turns);
        let threads = probes.iter().map(|probe| {
            let prog = probe.fd();
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    let device = Device::open()?;
                    match device.add_only(prog, 0) {
                        Ok(()) => (),
                        Err(err) if err.raw_os_error() == Some(libc::EBUSY) => continue,
                        Err(err) => return Err(err.into()),
                    }
                    ensure!(!held.swap(true, Relaxed), "two have the function");
                    turns.fetch_add(1, Relaxed);
                    crate::bpf::test_run(prog)?;
                    held.store(false, Relaxed);
                    // By closing it.
                    drop(device);
                }
                Ok(())
            })
        });
        for_a_while(stop, threads.collect(), || turns.load(Relaxed))
    })?;
    let turns = turns.load(Relaxed);
    println!("{turns} turns");
    let mut runs = 0;
    for probe in &probes {
        let hits = probe.hits()?;
        check_eq!(hits.entry, hits.ret, "entries and returns");
        runs += hits.ret;
    }
    check_eq!(runs, turns, "runs of all sessions");
    wait_for(
        "all images are freed",
        || Ok(kallsyms::images()?.is_empty()),
    )
}

fn concurrent_close(env: &Env) -> Result<()> {
    let shared = Shared::new(env)?;
    let stop = AtomicBool::new(false);
    let made: Vec<_> = shared.changing.iter().map(|_| Made::default()).collect();
    thread::scope(|scope| {
        let stop = &stop;
        let mut threads = Vec::new();
        for (probe, made) in shared.changing.iter().zip(&made) {
            let (prog, device) = (probe.fd(), shared.device.try_clone()?);
            threads.push(scope.spawn(move || {
                while !stop.load(Relaxed) {
                    let own = device.try_clone()?;
                    made.count(own.add_only(prog, 0), &made.added, libc::EBUSY)?;
                    drop(own);
                    let own = device.try_clone()?;
                    made.count(own.remove_only(prog), &made.removed, libc::ENOENT)?;
                    ensure!(own.info()?.nr_progs() >= 1, "closing detached a program");
                }
                Ok(())
            }));
        }
        for_a_while(stop, threads, || changes(&made))
    })?;
    shared.check(&made, 0)?;
    let Shared {
        device, changing, ..
    } = shared;
    drop(device);
    let before: Vec<_> = changing.iter().map(Probe::hits).collect::<Result<_>>()?;
    changing[0].test_run()?;
    let after: Vec<_> = changing.iter().map(Probe::hits).collect::<Result<_>>()?;
    check_eq!(after, before, "runs after the last descriptor is closed");
    wait_for(
        "all images are freed",
        || Ok(kallsyms::images()?.is_empty()),
    )
}
