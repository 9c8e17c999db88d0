// SPDX-License-Identifier: GPL-2.0

//! Probe programs: one program of any kind on any target, and the log in which
//! the probes of a test write what they saw, in order.
//!
//! The program is `bpf/probe.bpf.c`, the records are described in
//! `bpf/probe.h`.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{ensure, Context, Result};
use bytemuck::{Pod, Zeroable};
use libbpf_rs::{MapHandle, MapType, Object, RingBuffer, RingBufferBuilder};

use crate::bpf;

pub const MAX_ARGS: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Fentry,
    Fexit,
    FmodRet,
    Session,
}

impl Kind {
    fn program(self, sleepable: bool) -> &'static str {
        match (self, sleepable) {
            (Kind::Fentry, false) => "probe_fentry",
            (Kind::Fentry, true) => "probe_fentry_sleepable",
            (Kind::Fexit, false) => "probe_fexit",
            (Kind::Fexit, true) => "probe_fexit_sleepable",
            (Kind::FmodRet, false) => "probe_fmod_ret",
            (Kind::FmodRet, true) => "probe_fmod_ret_sleepable",
            (Kind::Session, false) => "probe_session",
            (Kind::Session, true) => "probe_session_sleepable",
        }
    }

    pub fn attach_type(self) -> u32 {
        match self {
            Kind::Fentry => libbpf_sys::BPF_TRACE_FENTRY,
            Kind::Fexit => libbpf_sys::BPF_TRACE_FEXIT,
            Kind::FmodRet => libbpf_sys::BPF_MODIFY_RETURN,
            Kind::Session => libbpf_sys::BPF_TRACE_FSESSION,
        }
    }
}

/// `enum probe_phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Entry,
    Return,
}

/// `struct probe_config`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
struct Config {
    id: u32,
    tgid: u32,
    use_cookie: u32,
    use_ip: u32,
    quiet: u32,
    modify_return: i32,
    user_addr: u64,
}

/// How often each half of a probe ran: `struct probe_hits`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Hits {
    pub entry: u64,
    pub ret: u64,
    pub lost: u64,
}

/// `struct probe_event`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Event {
    pub id: u32,
    phase: u32,
    pub tid: u32,
    pub nr_args: u32,
    pub ret: u64,
    pub cookie: u64,
    pub bpf_cookie: u64,
    pub ip: u64,
    pub user: u64,
    pub args: [u64; MAX_ARGS],
}

impl Event {
    pub fn phase(&self) -> Phase {
        match self.phase {
            0 => Phase::Entry,
            _ => Phase::Return,
        }
    }

    /// The low half of the return value, what an `int` function returns.
    pub fn ret_i32(&self) -> i32 {
        self.ret as i32
    }
}

/// What a session with a cookie leaves in it, `cookie_value()` of the program.
pub fn cookie_value(id: u32, first_arg: u64) -> u64 {
    0xc00c_1e00_0000_0000 | (u64::from(id) << 16) | (first_arg & 0xffff)
}

/// A probe that is not loaded yet.
#[derive(Clone, Debug)]
pub struct Spec {
    kind: Kind,
    target: String,
    sleepable: bool,
    config: Config,
}

impl Spec {
    pub fn new(kind: Kind, target: &str) -> Self {
        Self {
            kind,
            target: target.to_owned(),
            sleepable: false,
            config: Config::default(),
        }
    }

    /// Looks at calls from this process only.
    pub fn this_process(self) -> Self {
        self.process(std::process::id())
    }

    /// Looks at calls from one process only.
    pub fn process(mut self, id: u32) -> Self {
        self.config.tgid = id;
        self
    }

    /// Writes a session cookie at entry and reads it at return.
    pub fn cookie(mut self) -> Self {
        self.config.use_cookie = 1;
        self
    }

    pub fn cookie_if(self, wanted: bool) -> Self {
        if wanted {
            self.cookie()
        } else {
            self
        }
    }

    /// Calls `bpf_get_func_ip()`, for which the image keeps an address.
    pub fn ip(mut self) -> Self {
        self.config.use_ip = 1;
        self
    }

    /// Counts only.
    pub fn quiet(mut self) -> Self {
        self.config.quiet = 1;
        self
    }

    /// What an fmod_ret program returns.
    pub fn modify_return(mut self, value: i32) -> Self {
        self.config.modify_return = value;
        self
    }

    /// A sleepable program that reads 8 bytes of user memory at `addr`.
    pub fn sleepable(mut self, addr: u64) -> Self {
        self.sleepable = true;
        self.config.user_addr = addr;
        self
    }
}

/// A loaded program.
#[derive(Debug)]
pub struct Probe {
    object: Object,
    fd: OwnedFd,
    pub kind: Kind,
    /// Marks the records of this probe.
    pub id: u32,
}

impl Probe {
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub fn hits(&self) -> Result<Hits> {
        bpf::globals(&self.object, ".bss")
    }

    /// The kernel's number of the program.
    pub fn prog_id(&self) -> Result<u32> {
        bpf::prog_id(self.fd())
    }

    /// Has the kernel call its test functions once.
    pub fn test_run(&self) -> Result<u32> {
        bpf::test_run(self.fd()).context("BPF_PROG_TEST_RUN")
    }
}

/// What the probes of one test write into.
pub struct Log {
    dir: PathBuf,
    events: MapHandle,
    records: Rc<RefCell<Vec<Event>>>,
    ring: RingBuffer<'static>,
    ids: Cell<u32>,
}

impl Log {
    /// A log for probes of the object in `dir`.
    pub fn new(dir: &Path) -> Result<Self> {
        let opts = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
            ..Default::default()
        };
        let events = MapHandle::create(MapType::RingBuf, Some("events"), 0, 0, 256 * 1024, &opts)
            .context("cannot make a ring buffer")?;
        let records = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&records);
        let mut ring = RingBufferBuilder::new();
        ring.add(&events, move |data| {
            match bytemuck::try_pod_read_unaligned(data) {
                Ok(event) => sink.borrow_mut().push(event),
                Err(_) => return -libc::EBADMSG,
            }
            0
        })?;
        let ring = ring.build()?;
        Ok(Self {
            dir: dir.to_owned(),
            events,
            records,
            ring,
            ids: Cell::new(1),
        })
    }

    /// The ring buffer's descriptor.
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    pub fn load(&self, spec: Spec) -> Result<Probe> {
        let id = self.ids.replace(self.ids.get() + 1);
        let program = spec.kind.program(spec.sleepable);
        let mut object = bpf::open(&self.dir, "probe")?;
        bpf::pick(&mut object, |name| name == program);
        bpf::set_globals(&mut object, ".rodata.config", &Config { id, ..spec.config })?;
        for mut prog in object.progs_mut().filter(|prog| prog.name() == program) {
            prog.set_attach_target(0, Some(spec.target.clone()))
                .with_context(|| format!("{program} cannot be put on {}", spec.target))?;
        }
        for mut map in object.maps_mut().filter(|map| map.name() == "events") {
            map.reuse_fd(self.events.as_fd())?;
        }
        let object = object
            .load()
            .with_context(|| format!("cannot load {program} for {}", spec.target))?;
        Ok(Probe {
            fd: bpf::fd(&object, program)?,
            object,
            kind: spec.kind,
            id,
        })
    }

    /// The records since the last call, in the order they were written.
    pub fn take(&self) -> Result<Vec<Event>> {
        self.ring
            .consume()
            .context("a record of another size: build the BPF objects and the runner again")?;
        Ok(self.records.take())
    }

    /// As `take()`, where it is known how many records there are.
    pub fn take_exactly<const N: usize>(&self) -> Result<[Event; N]> {
        let events = self.take()?;
        ensure!(
            events.len() == N,
            "{} records instead of {N}: {events:#x?}",
            events.len()
        );
        Ok(events.try_into().expect("the length was checked"))
    }

    /// As `take()`, but only who wrote each record and in which half.
    pub fn take_order(&self) -> Result<Vec<(u32, Phase)>> {
        Ok(self
            .take()?
            .iter()
            .map(|event| (event.id, event.phase()))
            .collect())
    }
}
