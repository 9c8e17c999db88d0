// SPDX-License-Identifier: GPL-2.0

//! The programs of `bpf/bench.bpf.c`, loaded for any function as often as is needed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use figures::document::Programs;
use libbpf_sys::{bpf_attach_type, bpf_prog_load_opts};

use crate::bpf::{self, Instructions};

/// A function by its number in a BTF, the kernel's or that of a module.
pub struct Target {
    id: u32,
    btf: Option<OwnedFd>,
}

pub struct Source {
    insns: Instructions,
}

/// The kinds of tracing programs: what the object calls them, and how they attach.
const FENTRY: (&str, bpf_attach_type) = ("fentry", libbpf_sys::BPF_TRACE_FENTRY);
const FEXIT: (&str, bpf_attach_type) = ("fexit", libbpf_sys::BPF_TRACE_FEXIT);
const FMOD_RET: (&str, bpf_attach_type) = ("fmod_ret", libbpf_sys::BPF_MODIFY_RETURN);
const SESSION: (&str, bpf_attach_type) = ("session", libbpf_sys::BPF_TRACE_FSESSION);
const WITH_COOKIE: (&str, bpf_attach_type) = ("with_cookie", libbpf_sys::BPF_TRACE_FSESSION);

/// What the programs of a row are, once.
pub fn kinds(programs: Programs) -> &'static [(&'static str, bpf_attach_type)] {
    match programs {
        Programs::Fentry => &[FENTRY],
        Programs::Fexit => &[FEXIT],
        Programs::FmodRet => &[FMOD_RET],
        Programs::Both => &[FENTRY, FEXIT],
        Programs::Session => &[SESSION],
        Programs::WithCookie => &[WITH_COOKIE],
    }
}

impl Source {
    pub fn open(dir: &Path) -> Result<Self> {
        let mut object = bpf::open(dir, "bench")?;
        bpf::pick(&mut object, |name| !name.starts_with('k'));
        let object = object
            .load()
            .context("cannot load the programs to count with")?;
        Ok(Self {
            insns: Instructions::of(&object),
        })
    }

    /// The function `name`, wherever it is.
    pub fn target(dir: &Path, name: &str) -> Result<Target> {
        // Whatever is loaded for a function tells its number.
        let object = bpf::load_for(bpf::open(dir, "bench")?, "fentry", name)?;
        let info = bpf::info(bpf::fd(&object, "fentry")?.as_fd())?;
        Ok(Target {
            id: info.attach_btf_id,
            btf: Some(bpf::btf(info.attach_btf_obj_id)?),
        })
    }

    fn load(&self, kind: (&str, bpf_attach_type), target: &Target) -> io::Result<OwnedFd> {
        let (name, attach_type) = kind;
        let opts = bpf_prog_load_opts {
            attach_btf_obj_fd: target.btf.as_ref().map_or(0, |btf| btf.as_raw_fd() as u32),
            ..bpf::tracing_opts(attach_type, false, target.id)
        };
        let prog_type = libbpf_sys::BPF_PROG_TYPE_TRACING;
        self.insns.load(name, prog_type, opts)
    }

    /// A session by its name in the object.
    pub fn session(&self, name: &str, target: &Target) -> Result<OwnedFd> {
        let prog = self.load((name, libbpf_sys::BPF_TRACE_FSESSION), target);
        prog.with_context(|| format!("cannot load {name}"))
    }

    /// One for as many functions as its link names.
    pub fn load_multi(&self, name: &str, attach_type: bpf_attach_type) -> io::Result<OwnedFd> {
        let opts = bpf::tracing_opts(attach_type, false, 0);
        self.insns
            .load(name, libbpf_sys::BPF_PROG_TYPE_TRACING, opts)
    }

    /// So many of each, with how they attach.
    pub fn set(&self, programs: Programs, nr: u32, target: &Target) -> Result<Set> {
        let mut set = Vec::new();
        for kind in kinds(programs) {
            for _ in 0..nr {
                let prog = self.load(*kind, target);
                let prog = prog.with_context(|| format!("cannot load {}", kind.0))?;
                set.push((prog, kind.1));
            }
        }
        Ok(Set(set))
    }
}

/// Programs that are loaded, each with how it attaches.
pub struct Set(Vec<(OwnedFd, bpf_attach_type)>);

impl Set {
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(|(prog, _)| prog.as_fd()).collect()
    }

    /// Attaches all of them.
    pub fn link(&self) -> Result<Vec<OwnedFd>> {
        let links = self.0.iter().map(|(prog, attach_type)| {
            let link = bpf::link(prog.as_fd(), *attach_type, 0);
            link.context("cannot attach")
        });
        links.collect()
    }
}
