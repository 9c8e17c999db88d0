// SPDX-License-Identifier: GPL-2.0

//! A few programs that are loaded many times, each time for another function.
//!
//! libbpf loads `bpf/bulk.bpf.c` once. What it made of the programs is then
//! given to the kernel again and again, which is much faster than libbpf's way
//! through the BTF of the whole kernel.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{ensure, Context, Result};
use bytemuck::{Pod, Zeroable};
use libbpf_rs::{Object, ProgramType};
use libbpf_sys::{bpf_attach_type, bpf_prog_load_opts, bpf_prog_type};

use super::functions::Function;
use crate::bpf::{self, Instructions};
use crate::kallsyms;

/// `BULK_PLACES`.
const PLACES: usize = 1024;

/// What one program saw: `struct bulk_seen`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Seen {
    pub entries: u64,
    pub returns: u64,
    pub wrong: u64,
    pub alone: u64,
    pub nr_args: u64,
    pub ret: u64,
    pub ip: u64,
}

/// What a program is and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Fentry,
    Fexit,
    FmodRet,
    /// A session without a cookie.
    Session,
    /// A session that checks its cookie.
    WithCookie,
    /// A session that asks for the function's address.
    WithIp,
    Lsm,
}

use What::*;

impl What {
    pub const TRACING: [Self; 5] = [Fentry, Fexit, Session, WithCookie, WithIp];

    fn program(self, sleepable: bool) -> String {
        let name = match self {
            Fentry => "fentry",
            Fexit => "fexit",
            FmodRet => "fmod_ret",
            Session => "session",
            WithCookie => "with_cookie",
            WithIp => "with_ip",
            Lsm => "lsm",
        };
        format!("{name}{}", if sleepable { "_sleepable" } else { "" })
    }

    fn attach_type(self) -> bpf_attach_type {
        match self {
            Fentry => libbpf_sys::BPF_TRACE_FENTRY,
            Fexit => libbpf_sys::BPF_TRACE_FEXIT,
            FmodRet => libbpf_sys::BPF_MODIFY_RETURN,
            Session | WithCookie | WithIp => libbpf_sys::BPF_TRACE_FSESSION,
            Lsm => libbpf_sys::BPF_LSM_MAC,
        }
    }

    fn prog_type(self) -> bpf_prog_type {
        match self {
            Lsm => libbpf_sys::BPF_PROG_TYPE_LSM,
            _ => libbpf_sys::BPF_PROG_TYPE_TRACING,
        }
    }

    /// How often each half runs in a call of the function.
    pub fn halves(self) -> (u64, u64) {
        match self {
            Fentry | FmodRet | Lsm => (1, 0),
            Fexit => (0, 1),
            Session | WithCookie | WithIp => (1, 1),
        }
    }
}

/// A program on a function. Dropping it detaches it.
#[derive(Debug)]
pub struct Attached {
    pub what: What,
    pub prog: OwnedFd,
    pub function: Function,
    place: usize,
    _link: OwnedFd,
}

pub struct Bulk {
    object: Object,
    /// Instructions by the name of the program.
    insns: Instructions,
    /// What the program at each place must see.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    function: Function,
    /// Whether the program asks for the function's address.
    ip: bool,
}

impl Bulk {
    pub fn load(dir: &Path) -> Result<Self> {
        let mut object = bpf::open(dir, "bulk")?;
        let lsm = ProgramType::Lsm.is_supported()?;
        bpf::pick(&mut object, |name| lsm || !name.starts_with("lsm"));
        let object = object.load().context("cannot load the bulk programs")?;
        Ok(Self {
            insns: Instructions::of(&object),
            object,
            places: Vec::new(),
        })
    }

    /// Loads a program for the function with this number in the kernel's BTF.
    pub fn load_for(&self, what: What, sleepable: bool, id: u32) -> io::Result<OwnedFd> {
        self.load_as(what, sleepable, what.attach_type(), id)
    }

    pub fn load_as(
        &self,
        what: What,
        sleepable: bool,
        attach_type: bpf_attach_type,
        id: u32,
    ) -> io::Result<OwnedFd> {
        let opts = bpf::tracing_opts(attach_type, sleepable, id);
        self.insns
            .load(&what.program(sleepable), what.prog_type(), opts)
    }

    /// Loads a program for several functions, those of the kernel or, with its BTF, of
    /// a module.
    pub fn load_multi(
        &self,
        what: What,
        sleepable: bool,
        attach_type: bpf_attach_type,
        module: Option<BorrowedFd<'_>>,
    ) -> io::Result<OwnedFd> {
        let opts = bpf_prog_load_opts {
            attach_btf_obj_fd: module.map_or(0, |btf| btf.as_raw_fd().unsigned_abs()),
            ..bpf::tracing_opts(attach_type, sleepable, 0)
        };
        self.insns
            .load(&what.program(sleepable), what.prog_type(), opts)
    }

    /// Loads a program by the rights of a BPF token.
    pub fn load_by_token(&self, what: What, id: u32, token: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let opts = bpf_prog_load_opts {
            expected_attach_type: what.attach_type(),
            attach_btf_id: id,
            prog_flags: libbpf_sys::BPF_F_TOKEN_FD,
            token_fd: token.as_raw_fd().unsigned_abs(),
            ..Default::default()
        };
        self.insns
            .load(&what.program(false), what.prog_type(), opts)
    }

    /// Loads a session that has no trampoline.
    pub fn load_kprobe_session(&self) -> io::Result<OwnedFd> {
        let opts = bpf_prog_load_opts {
            expected_attach_type: libbpf_sys::BPF_TRACE_KPROBE_SESSION,
            ..Default::default()
        };
        self.insns
            .load("kprobe_session", libbpf_sys::BPF_PROG_TYPE_KPROBE, opts)
    }

    /// A place of its own for a program on this function. The place is the
    /// program's BPF cookie.
    pub fn place(&mut self, what: What, function: &Function) -> Result<usize> {
        let place = self.places.len();
        ensure!(place < PLACES, "more than {PLACES} programs: see bulk.h");
        self.places.push(Place {
            function: function.clone(),
            ip: what == WithIp,
        });
        Ok(place)
    }

    /// Loads and attaches a program, with a place of its own.
    pub fn attach(
        &mut self,
        what: What,
        sleepable: bool,
        function: &Function,
    ) -> Result<io::Result<Attached>> {
        let place = self.place(what, function)?;
        Ok(self.attach_at(what, sleepable, function, place))
    }

    pub fn attach_at(
        &self,
        what: What,
        sleepable: bool,
        function: &Function,
        place: usize,
    ) -> io::Result<Attached> {
        let prog = self.load_for(what, sleepable, function.id)?;
        let link = bpf::link(prog.as_fd(), what.attach_type(), place as u64)?;
        Ok(Attached {
            what,
            prog,
            function: function.clone(),
            place,
            _link: link,
        })
    }

    /// Begins again with the first place, for programs that are all detached
    /// and do not run any more. Others may have called their functions: a session
    /// that is detached meanwhile may lose its entry half first.
    pub fn reuse_places(&mut self) -> Result<()> {
        self.check_seen(|_| true)?;
        self.places.clear();
        bpf::clear_globals(&self.object, ".bss")
    }

    pub fn seen(&self) -> Result<Vec<Seen>> {
        let seen: [Seen; PLACES] = bpf::globals(&self.object, ".bss")?;
        Ok(seen.to_vec())
    }

    pub fn seen_at(&self, place: usize) -> Result<Seen> {
        Ok(self.seen()?[place])
    }

    pub fn seen_by(&self, attached: &Attached) -> Result<Seen> {
        self.seen_at(attached.place)
    }

    /// Every program that ran at all saw what it must see. Where nobody but the
    /// test calls the function, each return has had its entry.
    pub fn check(&self) -> Result<()> {
        self.check_seen(|place| !place.function.is_quiet())
    }

    fn check_seen(&self, may_be_alone: impl Fn(&Place) -> bool) -> Result<()> {
        let seen = self.seen()?;
        let ran = |seen: &Seen| seen.entries + seen.returns > 0;
        for (nr, (seen, place)) in seen.iter().zip(&self.places).enumerate() {
            ensure!(
                seen.wrong == 0
                    && (!ran(seen) || seen.nr_args == place.function.words)
                    && (may_be_alone(place) || seen.alone == 0),
                "program {nr} of {place:?} saw {seen:?}"
            );
        }
        let mut addresses: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let asked = || {
            seen.iter()
                .zip(&self.places)
                .filter(|(seen, place)| place.ip && ran(seen))
        };
        for (_, place) in asked() {
            addresses.entry(&place.function.name).or_default();
        }
        kallsyms::addresses(&mut addresses)?;
        for (seen, place) in asked() {
            let addresses = &addresses[place.function.name.as_str()];
            ensure!(
                addresses.contains(&seen.ip),
                "a program of {place:?} at {addresses:#x?} saw {seen:#x?}"
            );
        }
        Ok(())
    }

    /// For programs that are attached, on functions that anybody may call: each
    /// return has had its entry, unless the kernel counts that it left one out.
    pub fn check_attached(&self, attached: &[Attached]) -> Result<()> {
        // Before the counts, which go on.
        let seen = self.seen()?;
        for program in attached {
            let seen = seen[program.place];
            let misses = bpf::misses(program.prog.as_fd())?;
            ensure!(
                seen.alone <= misses,
                "{program:?} saw {seen:?}, left out {misses} times"
            );
        }
        Ok(())
    }
}

impl Attached {
    /// Has the kernel call its test functions.
    pub fn test_run(&self) -> Result<u32> {
        bpf::test_run(self.prog.as_fd()).context("BPF_PROG_TEST_RUN")
    }
}
