// SPDX-License-Identifier: GPL-2.0

//! Another kernel takes the place of this one while images are in use.
//!
//! The test does not come back. The other kernel ends it: its init runs `runner
//! --kexeced` with what the first one has left on the command line (`kexeced.rs`).
//! It comes alone; `scripts/kexec.sh` has what it takes outside.

mod kexeced;

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{ensure, Context, Result};
use libbpf_rs::Object;
use rustix::event::{eventfd, EventfdFlags};
use rustix::process::{getpgid, getsid};
use rustix::system::{reboot, RebootCommand};

pub use kexeced::{finish, Left};

use super::asleep::userfault;
use super::cookie::stay_on;
use super::wait_for;
use crate::attach::{Trampoline, Via};
use crate::bpf;
use crate::harness::{installed, skip, Env};
use crate::hooks::{Mode, Stats};
use crate::kallsyms;
use crate::kmsg::Kmsg;
use crate::probe::{Kind, Log, Probe, Spec};
use crate::userfault::Page;

tests! {
    kexec_alive: "another kernel is booted while images are in use",
}

/// Calls on each CPU, at least, before the other kernel is loaded.
const CALLS: u64 = 20;

/// The functions of one way.
struct Functions {
    /// All CPUs call it all the time.
    called: &'static str,
    /// A task sleeps in the function.
    slept_in: &'static str,
    /// A task sleeps in a program.
    asleep: &'static str,
    /// The program of `kexec.bpf.c`, for a function that is called at the very end.
    last: &'static str,
}

const BY_DEVICE: Functions = Functions {
    called: "bpf_fentry_test1",
    slept_in: "eventfd_read",
    asleep: "__x64_sys_getpgid",
    last: "by_device",
};

const BY_LINK: Functions = Functions {
    called: "bpf_fentry_test2",
    slept_in: "targets_sleep",
    asleep: "__x64_sys_getsid",
    last: "by_link",
};

/// Programs that are attached one way.
struct Attached {
    trampolines: Vec<Trampoline>,
    called: Vec<Probe>,
    slept_in: Probe,
    asleep: Probe,
    page: Page,
}

impl Attached {
    fn new(via: Via, functions: &Functions, log: &Log, last: &Object) -> Result<Self> {
        let page = userfault()?;
        let session = |target| Spec::new(Kind::Session, target).this_process().quiet();
        let [fentry, fexit] =
            [Kind::Fentry, Kind::Fexit].map(|kind| Spec::new(kind, functions.called).quiet());
        let called = [session(functions.called).cookie(), fentry, fexit];
        let slept_in = log.load(session(functions.slept_in).cookie())?;
        let asleep = log.load(session(functions.asleep).sleepable(page.addr()))?;
        let called = called.into_iter().map(|spec| log.load(spec));
        let called = called.collect::<Result<Vec<_>>>()?;

        let mut trampolines = Vec::new();
        let mut on = |probes: &[&Probe]| -> Result<()> {
            let trampoline = Trampoline::open(via)?;
            for probe in probes {
                trampoline.add(probe)?;
            }
            trampolines.push(trampoline);
            Ok(())
        };
        on(&called.iter().collect::<Vec<_>>())?;
        on(&[&slept_in])?;
        on(&[&asleep])?;
        let trampoline = Trampoline::open(via)?;
        let prog = bpf::fd(last, functions.last)?;
        trampoline
            .try_add_fd(0, prog.as_fd(), Kind::Session, 0)
            .with_context(|| format!("cannot attach {}", functions.last))?;
        trampolines.push(trampoline);
        Ok(Self {
            trampolines,
            called,
            slept_in,
            asleep,
            page,
        })
    }

    /// Images of the device that `/proc/kallsyms` has.
    fn images(&self) -> Result<u64> {
        let names = kallsyms::images()?;
        let mut images = 0;
        for device in self.trampolines.iter().filter_map(Trampoline::device) {
            let addr = device.info()?.image_addr;
            images += u64::from(names.iter().any(|symbol| symbol.addr == addr));
        }
        Ok(images)
    }

    /// One task in the function, one in the program.
    fn wait_asleep(&self) -> Result<()> {
        wait_for("a task sleeps in the function", || {
            Ok(self.slept_in.hits()?.entry == 1)
        })?;
        self.page.wait_wanted()?;
        check_eq!(self.slept_in.hits()?.ret, 0, "returns of the function");
        check_eq!(self.asleep.hits()?.entry, 1, "runs of who sleeps");
        Ok(())
    }

    /// Every program has seen these calls, and may have seen more since.
    fn check_called(&self, calls: u64) -> Result<()> {
        for probe in &self.called {
            let hits = probe.hits()?;
            let [entries, returns] = [Kind::Fexit, Kind::Fentry].map(|kind| probe.kind != kind);
            ensure!(
                (!entries || hits.entry >= calls) && (!returns || hits.ret >= calls),
                "{hits:?} of {calls} calls seen by {:?}",
                probe.kind
            );
        }
        Ok(())
    }
}

/// Threads that are never waited for. They end with the kernel, or with the process.
struct Threads {
    asleep: Vec<JoinHandle<()>>,
    calling: Vec<JoinHandle<io::Error>>,
    /// On each CPU.
    calls: Arc<[AtomicU64]>,
}

impl Threads {
    fn start(env: &Env, caller: BorrowedFd<'_>) -> Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC)?;
        let targets = env.targets()?;
        let asleep = vec![
            thread::spawn(move || _ = rustix::io::read(event, &mut [0; 8])),
            thread::spawn(move || _ = targets.call("sleep", &[1, 2])),
            thread::spawn(|| _ = getpgid(None)),
            thread::spawn(|| _ = getsid(None)),
        ];
        let cpus = thread::available_parallelism()?.get();
        let calls: Arc<[AtomicU64]> = (0..cpus).map(|_| AtomicU64::new(0)).collect();
        let mut calling = Vec::new();
        for cpu in 0..cpus {
            let (prog, calls) = (caller.try_clone_to_owned()?, calls.clone());
            calling.push(thread::spawn(move || call(cpu, &prog, &calls[cpu])));
        }
        Ok(Self {
            asleep,
            calling,
            calls,
        })
    }

    fn calls(&self) -> Vec<u64> {
        self.calls.iter().map(|calls| calls.load(Relaxed)).collect()
    }

    fn asleep(&self) -> u64 {
        let asleep = self.asleep.iter().filter(|thread| !thread.is_finished());
        asleep.count() as u64
    }

    fn check_calling(&self) -> Result<()> {
        let ended = self.calling.iter().position(JoinHandle::is_finished);
        ensure!(ended.is_none(), "the calls on CPU {ended:?} have ended");
        Ok(())
    }
}

fn call(cpu: usize, prog: &OwnedFd, calls: &AtomicU64) -> io::Error {
    stay_on(cpu);
    loop {
        if let Err(err) = bpf::test_run(prog.as_fd()) {
            return err;
        }
        calls.fetch_add(1, Relaxed);
    }
}

fn kexec_alive(env: &Env) -> Result<()> {
    env.device()?;
    let mut kmsg = Kmsg::open()?;
    let _hooked = env.hook(Mode::Takeover)?;
    let before = Stats::read()?;
    let log = env.log()?;
    let last = bpf::open(&env.bpf, "kexec")?.load()?;
    let device = Attached::new(Via::Device, &BY_DEVICE, &log, &last)?;
    let links = Attached::new(Via::Takeover, &BY_LINK, &log, &last)?;
    // Who boots the other kernel never returns from here.
    let caller = log.load(Spec::new(Kind::Session, "__x64_sys_reboot").quiet())?;
    links.trampolines[0].add(&caller)?;
    let counted = before.since()?;
    counted.check_clean()?;

    let threads = Threads::start(env, caller.fd())?;
    device.wait_asleep()?;
    links.wait_asleep()?;
    wait_for("calls on every CPU", || {
        Ok(threads.calls().iter().all(|calls| *calls >= CALLS))
    })?;
    let left = Left {
        images: device.images()?,
        built: counted.get("built")?,
        asleep: threads.asleep(),
        calls: threads.calls(),
        boot_id: kexeced::boot_id()?,
    };
    println!("{left}");
    left.check()?;
    load_kernel(&left)?;

    threads.check_calling()?;
    check_eq!(threads.asleep(), left.asleep, "tasks that sleep");
    for attached in [&device, &links] {
        attached.check_called(left.calls.iter().sum())?;
    }
    check_eq!(kmsg.of_module()?, [], "lines of the module in the log");
    let err = reboot(RebootCommand::Kexec).err();
    anyhow::bail!("the other kernel was not booted: {err:?}");
}

/// Loads the same kernel once more, with an init that ends this test.
fn load_kernel(left: &Left) -> Result<()> {
    let open = |name: &str| {
        let path = installed("kexec").join(name);
        File::open(&path).with_context(|| format!("cannot open {}", path.display()))
    };
    let (kernel, initrd) = (open("bzImage")?, open("initrd")?);
    let own = fs::read_to_string("/proc/cmdline")?;
    // What comes after the dashes is the init's.
    let options = own.split(" -- ").next().unwrap_or_default().trim();
    let line = CString::new(format!("{options} -- kexeced {left}"))?;
    // SAFETY: The line outlives the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initrd.as_raw_fd(),
            line.as_bytes_with_nul().len(),
            line.as_ptr(),
            0,
        )
    };
    if ret == 0 {
        return Ok(());
    }
    let err = io::Error::last_os_error();
    if err.raw_os_error() == Some(libc::ENOSYS) {
        return Err(skip("the kernel has no CONFIG_KEXEC_FILE"));
    }
    Err(err).context("kexec_file_load()")
}
