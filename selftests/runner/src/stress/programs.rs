// SPDX-License-Identifier: GPL-2.0

//! BPF programs, and what they saw.
//!
//! libbpf loads `bpf/stress.bpf.c` once; its programs are then given to the kernel
//! again and again, each time for one function. All of them write into one map,
//! which outlives the actors.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use bytemuck::{Pod, Zeroable};
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ProgramType};
use libbpf_sys::{bpf_attach_type, bpf_prog_load_opts, bpf_prog_type};

use super::users::functions::{self, Function};
use crate::bpf::{self, Instructions};
use crate::probe::Kind;

/// `STRESS_PLACES`
pub const PLACES: usize = 1024;
/// What the programs of cgroups count in.
pub const LSM_PLACE: usize = PLACES - 1;

/// What one attachment sees: `struct stress_seen`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Seen {
    pub user_addr: u64,
    pub owner: u64,
    pub entries: u64,
    pub returns: u64,
    pub own_entries: u64,
    pub own_returns: u64,
    pub wrong: u64,
    pub alone: u64,
    pub lost: u64,
}

/// What a program is and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Fentry,
    Fexit,
    Session,
    WithCookie,
}

impl What {
    pub const ALL: [Self; 5] = [
        Self::Fentry,
        Self::Fexit,
        Self::Session,
        Self::WithCookie,
        // The one that shows most.
        Self::WithCookie,
    ];

    fn program(self, sleepable: bool) -> String {
        let name = match self {
            Self::Fentry => "fentry",
            Self::Fexit => "fexit",
            Self::Session => "session",
            Self::WithCookie => "with_cookie",
        };
        format!("{name}{}", if sleepable { "_sleepable" } else { "" })
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::Fentry => Kind::Fentry,
            Self::Fexit => Kind::Fexit,
            Self::Session | Self::WithCookie => Kind::Session,
        }
    }

    /// How often each half runs in a call.
    pub fn halves(self) -> (u64, u64) {
        match self {
            Self::Fentry => (1, 0),
            Self::Fexit => (0, 1),
            Self::Session | Self::WithCookie => (1, 1),
        }
    }
}

pub struct Programs {
    _object: Object,
    seen: MapHandle,
    insns: Instructions,
    pub functions: Vec<Function>,
    /// Whether the kernel knows programs of LSM hooks.
    pub lsm: bool,
}

impl Programs {
    pub fn load(dir: &Path) -> Result<Self> {
        let mut object = bpf::open(dir, "stress")?;
        let lsm = ProgramType::Lsm.is_supported()?;
        bpf::pick(&mut object, |name| lsm || !name.starts_with("lsm"));
        let object = object.load().context("cannot load the stress programs")?;
        let map = object.maps().find(|map| map.name() == "seen");
        let seen = MapHandle::try_from(&map.context("no map 'seen'")?)?;
        ensure!(
            seen.value_size() as usize == size_of::<Seen>()
                && seen.max_entries() as usize == PLACES,
            "another struct stress_seen: build both again"
        );
        Ok(Self {
            insns: Instructions::of(&object),
            _object: object,
            seen,
            functions: functions::load()?,
            lsm,
        })
    }

    pub fn function(&self, name: &str) -> Result<&Function> {
        let mut found = self.functions.iter();
        found
            .find(|function| function.name == name)
            .with_context(|| format!("no function {name}()"))
    }

    pub fn load_for(&self, what: What, sleepable: bool, id: u32) -> io::Result<OwnedFd> {
        self.load_as(what, sleepable, what.kind().attach_type(), id)
    }

    pub fn load_as(
        &self,
        what: What,
        sleepable: bool,
        attach_type: bpf_attach_type,
        id: u32,
    ) -> io::Result<OwnedFd> {
        let opts = bpf::tracing_opts(attach_type, sleepable, id);
        let name = what.program(sleepable);
        self.load_raw(&name, libbpf_sys::BPF_PROG_TYPE_TRACING, opts)
    }

    pub fn load_raw(
        &self,
        name: &str,
        prog_type: bpf_prog_type,
        opts: bpf_prog_load_opts,
    ) -> io::Result<OwnedFd> {
        self.insns.load(name, prog_type, opts)
    }

    pub fn seen(&self, place: usize) -> Result<Seen> {
        let key = (place as u32).to_ne_bytes();
        let value = self.seen.lookup(&key, MapFlags::ANY)?;
        let value = value.context("a place outside of the map")?;
        bytemuck::try_pod_read_unaligned(&value)
            .ok()
            .context("another struct stress_seen")
    }

    /// Forgets what was seen at a place, for an attachment to come.
    pub fn clear(&self, place: usize, user_addr: u64) -> Result<()> {
        let fresh = Seen {
            user_addr,
            owner: std::process::id().into(),
            ..Seen::default()
        };
        let key = (place as u32).to_ne_bytes();
        Ok(self
            .seen
            .update(&key, bytemuck::bytes_of(&fresh), MapFlags::ANY)?)
    }
}
