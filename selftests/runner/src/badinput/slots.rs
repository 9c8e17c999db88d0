// SPDX-License-Identifier: GPL-2.0

//! Descriptors of all kinds, at fixed numbers that nothing else in the process has.
//! Processes that are started inherit them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Context, Result};
use rand::seq::IndexedRandom;
use rand::Rng;
use rustix::fs::{memfd_create, MemfdFlags};

use crate::bpf;
use crate::device::Device;
use crate::harness::Env;
use crate::hooks;
use crate::probe::{Kind, Probe, Spec};
use crate::rights::{as_nobody, CapabilitySet};
use crate::tests::open::Everyone;

/// What is behind a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing, ever.
    Closed,
    /// A trampoline of root's.
    Device,
    /// One of an opener who may not see addresses.
    HiddenDevice,
    /// A trampoline or nothing: closed and opened by everybody, at any time.
    ShakyDevice,
    /// A program that can be attached.
    Prog,
    /// A tracing program of a kind without trampoline.
    NoTrampoline,
    /// A tracing program for a BPF program.
    OnBpf,
    /// Any other file.
    Other,
    /// Any of all these, and another one any time.
    Shaky,
    /// A file of debugfs.
    Mode,
    Debug,
}

const FIRST: u32 = 200;
const DEVICES: u32 = FIRST;
const NR_DEVICES: u32 = 4;
const SHAKY_DEVICES: u32 = FIRST + 4;
const NR_SHAKY: u32 = 4;
/// The file `mode`, then other files of debugfs.
pub const MODE: u32 = DEBUG;
const DEBUG: u32 = FIRST + 8;
const NR_DEBUG: u32 = 4;
const SHAKY: u32 = FIRST + 12;
const NO_TRAMPOLINE: u32 = FIRST + 16;
const ON_BPF: u32 = FIRST + 17;
pub const ARENA: u32 = FIRST + 18;
const PROGS: u32 = FIRST + 20;
const OTHERS: u32 = FIRST + 50;
const END: u32 = FIRST + 100;

/// Where the counters are, for processes that are started.
pub const COUNTERS: u32 = END;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    pub progs: u32,
    pub others: u32,
}

impl Slots {
    pub fn what(self, number: u32) -> What {
        match number {
            0..=2 => What::Other,
            DEVICES => What::HiddenDevice,
            DEVICES..SHAKY_DEVICES => What::Device,
            SHAKY_DEVICES..DEBUG => What::ShakyDevice,
            DEBUG => What::Mode,
            DEBUG..SHAKY => What::Debug,
            SHAKY..NO_TRAMPOLINE => What::Shaky,
            NO_TRAMPOLINE => What::NoTrampoline,
            ON_BPF => What::OnBpf,
            _ if (PROGS..PROGS + self.progs).contains(&number) => What::Prog,
            _ if (OTHERS..OTHERS + self.others).contains(&number) => What::Other,
            _ => What::Closed,
        }
    }

    /// A trampoline; `hidden` with the one that shows nothing.
    pub fn device(self, rng: &mut impl Rng) -> u32 {
        match rng.random_range(0..10) {
            0 => DEVICES,
            1..=2 => shaky_device(rng),
            _ => DEVICES + rng.random_range(1..NR_DEVICES),
        }
    }

    /// What is given for a program.
    pub fn number(self, rng: &mut impl Rng) -> u32 {
        match rng.random_range(0..100) {
            0..=39 => OTHERS + rng.random_range(0..self.others),
            40..=54 => *[NO_TRAMPOLINE, ON_BPF].choose(rng).unwrap_or(&ON_BPF),
            55..=64 => shaky(rng),
            65..=74 => self.device(rng),
            75..=84 => debug(rng),
            85 => self.prog(rng),
            86..=91 => rng.random_range(0..=2),
            // The numbers between are in use for what is not listed here.
            92..=95 => END + 1 + rng.random_range(0..1000),
            _ => rng.random::<u32>() | (1 << rng.random_range(20..32)),
        }
    }

    pub fn prog(self, rng: &mut impl Rng) -> u32 {
        PROGS + rng.random_range(0..self.progs)
    }

    /// What another number may be a copy of.
    pub fn any(self, rng: &mut impl Rng) -> u32 {
        match rng.random_range(0..8) {
            0 => self.prog(rng),
            1 | 2 => self.device(rng),
            _ => OTHERS + rng.random_range(0..self.others),
        }
    }
}

pub fn shaky(rng: &mut impl Rng) -> u32 {
    SHAKY + rng.random_range(0..NO_TRAMPOLINE - SHAKY)
}

pub fn shaky_device(rng: &mut impl Rng) -> u32 {
    SHAKY_DEVICES + rng.random_range(0..NR_SHAKY)
}

pub fn debug(rng: &mut impl Rng) -> u32 {
    DEBUG + rng.random_range(0..NR_DEBUG)
}

/// Makes `to` another descriptor of `from`, whatever it was.
pub fn copy(from: RawFd, to: u32) -> io::Result<()> {
    // SAFETY: The numbers from FIRST to COUNTERS belong to this file; no `OwnedFd` has one.
    match unsafe { libc::dup2(from, to as RawFd) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

pub fn close(number: u32) {
    // SAFETY: As in `copy()`.
    unsafe { libc::close(number as RawFd) };
}

/// Closes all of them.
pub fn close_all() {
    (FIRST..=COUNTERS).for_each(close);
}

/// Everything that is needed to make them, and the programs behind them.
pub fn fill(env: &Env) -> Result<(Slots, Vec<Probe>)> {
    let put = |fd: BorrowedFd<'_>, to| copy(fd.as_raw_fd(), to).context("dup2()");
    // Nobody's shows no addresses: see `bpf_dump_raw_ok()`.
    let opener = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let everyone = Everyone::new()?;
    let hidden = as_nobody(opener, Device::open)?.context("cannot open as nobody")?;
    drop(everyone);
    put(hidden.as_fd(), DEVICES)?;
    for number in DEVICES + 1..DEVICES + NR_DEVICES {
        put(Device::open()?.as_fd(), number)?;
    }
    let mismatches = hooks::mismatch_paths()?;
    let ends = [mismatches.first(), mismatches.last()].map(|path| path.context("no mismatches/"));
    let [first, last] = ends;
    let (first, last) = (first?, last?);
    let paths: [&Path; 4] = [hooks::MODE.as_ref(), hooks::STATS.as_ref(), first, last];
    for (path, number) in paths.into_iter().zip(DEBUG..) {
        let file = File::options().read(true).write(true).open(path)?;
        put(file.as_fd(), number)?;
    }

    let probes = probes(env)?;
    for (probe, number) in probes.iter().zip(PROGS..OTHERS) {
        put(probe.fd(), number)?;
    }
    let object = bpf::open(&env.bpf, "other")?.load()?;
    put(bpf::fd(&object, "no_tracepoint")?.as_fd(), NO_TRAMPOLINE)?;
    put(comparison::arena::owner()?.as_fd(), ARENA)?;

    let mut others = others();
    others.push(bpf::fd(&object, "no_socket_filter")?);
    others.push(bpf::fd(&object, "no_kprobe")?);
    let mains = bpf::open(&env.bpf, "nested")?.load()?;
    let target = bpf::fd(&mains, "main_plain")?;
    let mut nesting = bpf::open(&env.bpf, "nesting")?;
    bpf::pick(&mut nesting, |prog| prog == "main_plain_session");
    for mut prog in nesting.progs_mut().filter(|prog| prog.autoload()) {
        prog.set_attach_target(target.as_raw_fd(), Some("main_plain".to_owned()))?;
    }
    let nesting = nesting.load()?;
    put(bpf::fd(&nesting, "main_plain_session")?.as_fd(), ON_BPF)?;
    let log = env.log()?;
    others.push(log.events_fd().try_clone_to_owned()?);
    let linked = log.load(Spec::new(Kind::Fentry, "bpf_fentry_test3").quiet())?;
    others.push(bpf::link(linked.fd(), Kind::Fentry.attach_type(), 0)?);
    for (fd, number) in others.iter().zip(OTHERS..END) {
        put(fd.as_fd(), number)?;
    }
    let slots = Slots {
        progs: probes.len() as u32,
        others: others.len() as u32,
    };
    Ok((slots, probes))
}

/// Programs that can be attached, too many for one trampoline: a sixth cookie.
fn probes(env: &Env) -> Result<Vec<Probe>> {
    let log = env.log()?;
    let on = |kind, target| Spec::new(kind, target).quiet();
    let mut specs = vec![
        on(Kind::Fentry, "bpf_fentry_test1"),
        on(Kind::Fexit, "bpf_fentry_test1").ip(),
        on(Kind::Session, "bpf_fentry_test1"),
        on(Kind::Fentry, "bpf_fentry_test2").ip(),
        on(Kind::Fexit, "bpf_fentry_test2"),
        on(Kind::Session, "bpf_fentry_test2").cookie(),
        on(Kind::FmodRet, "bpf_modify_return_test"),
        on(Kind::Session, "bpf_modify_return_test"),
    ];
    specs.extend((0..6).map(|_| on(Kind::Session, "bpf_fentry_test1").cookie()));
    specs.into_iter().map(|spec| log.load(spec)).collect()
}

/// Descriptors of everything that is no program. What the kernel lacks is left out.
fn others() -> Vec<OwnedFd> {
    let mut pipe = [-1; 2];
    let mut pair = [-1; 2];
    let c = |path: &'static std::ffi::CStr| path.as_ptr();
    // SAFETY: The arrays take two descriptors, the strings are strings, null is allowed for
    // signal masks of length 8 that are not given, and the calls keep no pointer.
    let numbers = unsafe {
        libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC);
        libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut mask);
        [
            libc::open(c(c"/proc/self/exe"), libc::O_RDONLY),
            libc::open(c(c"/proc"), libc::O_RDONLY | libc::O_DIRECTORY),
            libc::open(c(c"/sys/kernel/btf/vmlinux"), libc::O_RDONLY),
            libc::epoll_create1(0),
            libc::eventfd(0, 0),
            libc::timerfd_create(libc::CLOCK_MONOTONIC, 0),
            libc::signalfd(-1, &mask, 0),
            libc::inotify_init1(0),
            libc::syscall(libc::SYS_userfaultfd, libc::O_NONBLOCK) as RawFd,
            libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) as RawFd,
            libc::syscall(libc::SYS_fsopen, c(c"tmpfs"), 0) as RawFd,
            libbpf_sys::bpf_btf_get_fd_by_id(1),
            pipe[0],
            pipe[1],
            pair[0],
            pair[1],
        ]
    };
    let numbers = numbers.into_iter().filter(|&number| number >= 0);
    // SAFETY: The kernel has just made these descriptors for us.
    let mut all: Vec<_> = numbers
        .map(|number| unsafe { OwnedFd::from_raw_fd(number) })
        .collect();
    all.extend(memfd_create("nothing", MemfdFlags::empty()));
    all
}
