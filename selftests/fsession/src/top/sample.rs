// SPDX-License-Identifier: GPL-2.0

//! What all programs behind trampolines have run, at some moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use anyhow::{anyhow, Context, Error, Result};
use libbpf_sys as sys;

use super::names::{Names, Target};
use crate::kernel::objects::{check, link_ids, own, prog_ids};
use crate::kernel::progs::prog_info;

/// A program, and what it has run since it was loaded while statistics were on.
#[derive(Clone, Debug)]
pub struct Counted {
    pub program: Program,
    pub calls: u64,
    pub nanoseconds: u64,
    /// Calls that were left out, as the program ran already on that CPU.
    pub misses: u64,
}

/// What of a program does not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    pub id: u32,
    pub name: String,
    /// `fentry`, `fsession`, `lsm`, `struct_ops`
    pub kind: String,
    pub target: String,
    /// The number in the name `bpf_trampoline_<key>`, where it has one of the kernel's.
    pub key: Option<u64>,
}

/// All of them.
pub struct Sample {
    pub at: Instant,
    pub programs: Vec<Counted>,
}

/// Takes samples. The kernel counts as long as this is there.
pub struct Sampler {
    names: Names,
    /// None where the program has no trampoline.
    known: BTreeMap<u32, Option<(String, Target)>>,
    _statistics: OwnedFd,
}

impl Sampler {
    /// # Errors
    ///
    /// It takes CAP_SYS_ADMIN.
    pub fn start() -> Result<Self> {
        // What libbpf has to say is told by the errors.
        libbpf_rs::set_print(None);
        // SAFETY: The call has no pointers.
        let statistics = own(unsafe { sys::bpf_enable_stats(sys::BPF_STATS_RUN_TIME) });
        Ok(Self {
            _statistics: statistics.map_err(|err| refusal(&err))?,
            names: Names::load()?,
            known: BTreeMap::new(),
        })
    }

    pub fn take(&mut self) -> Result<Sample> {
        let links = links()?;
        let mut programs = Vec::new();
        let mut seen = BTreeSet::new();
        let at = Instant::now();
        for id in prog_ids() {
            let id = id.map_err(|err| refusal(&err))?;
            seen.insert(id);
            if let Some(None) = self.known.get(&id) {
                continue;
            }
            // It may be gone by now.
            // SAFETY: The call takes a number only.
            let Ok(fd) = own(unsafe { sys::bpf_prog_get_fd_by_id(id) }) else {
                continue;
            };
            let mut info = sys::bpf_prog_info::default();
            // SAFETY: `info` has no pointers.
            unsafe { prog_info(&fd, &mut info) }
                .with_context(|| format!("cannot ask for BPF program {id}"))?;
            let names = &self.names;
            let known = self.known.entry(id).or_insert_with(|| {
                let target = names.target(&info)?;
                Some((names.program(&fd, &info), target))
            });
            if let Some((name, target)) = known {
                programs.push(counted(&info, name, target, links.get(&id)));
            }
        }
        // Numbers come again when they have all been used.
        self.known.retain(|id, _| seen.contains(id));
        Ok(Sample { at, programs })
    }
}

fn counted(info: &sys::bpf_prog_info, name: &str, target: &Target, link: Option<&Link>) -> Counted {
    let kind = match info.type_ {
        sys::BPF_PROG_TYPE_LSM => "lsm",
        sys::BPF_PROG_TYPE_EXT => "freplace",
        sys::BPF_PROG_TYPE_STRUCT_OPS => "struct_ops",
        // Without a link it may be on /dev/rust_fsession, or loaded only.
        _ => link.map_or("tracing", |link| link.kind),
    };
    let linked = link.and_then(|link| link.target);
    Counted {
        program: Program {
            id: info.id,
            name: name.into(),
            kind: kind.into(),
            target: target.name.clone(),
            key: linked.and_then(|linked| target.key(linked)),
        },
        calls: info.run_cnt,
        nanoseconds: info.run_time_ns,
        misses: info.recursion_misses,
    }
}

/// What a program is linked as.
struct Link {
    kind: &'static str,
    /// BTF object of the kernel or program, and type in it.
    target: Option<(u32, u32)>,
}

/// The last link of each program.
fn links() -> Result<BTreeMap<u32, Link>> {
    /// `BPF_LINK_TYPE_TRACING_MULTI` of Linux 7.2.
    const TRACING_MULTI: u32 = 15;
    let mut links = BTreeMap::new();
    for id in link_ids() {
        let id = id.map_err(|err| refusal(&err))?;
        // It may be gone by now.
        // SAFETY: The call takes a number only.
        let Ok(fd) = own(unsafe { sys::bpf_link_get_fd_by_id(id) }) else {
            continue;
        };
        let mut info = sys::bpf_link_info::default();
        let mut len = size_of_val(&info) as u32;
        // SAFETY: `len` is the size of `info`, which has no pointers.
        let told = unsafe { sys::bpf_link_get_info_by_fd(fd.as_raw_fd(), &mut info, &mut len) };
        if check(told).is_err() {
            continue;
        }
        let link = match info.type_ {
            sys::BPF_LINK_TYPE_TRACING => {
                // SAFETY: Links of this type have this part, which is of numbers only.
                let tracing = unsafe { info.__bindgen_anon_1.tracing };
                Link {
                    kind: kind(tracing.attach_type),
                    target: Some((tracing.target_obj_id, tracing.target_btf_id)),
                }
            }
            TRACING_MULTI => Link {
                kind: "multi",
                target: None,
            },
            _ => continue,
        };
        links.insert(info.prog_id, link);
    }
    Ok(links)
}

fn kind(attach_type: u32) -> &'static str {
    match attach_type {
        sys::BPF_TRACE_FENTRY => "fentry",
        sys::BPF_TRACE_FEXIT => "fexit",
        sys::BPF_MODIFY_RETURN => "fmod_ret",
        sys::BPF_TRACE_FSESSION => "fsession",
        _ => "tracing",
    }
}

fn refusal(err: &io::Error) -> Error {
    match err.raw_os_error() {
        Some(libc::EPERM) => {
            anyhow!("cannot look at BPF programs: this needs root (CAP_SYS_ADMIN)")
        }
        Some(libc::ENOSYS) => anyhow!("this kernel has no bpf(): CONFIG_BPF_SYSCALL=y is missing"),
        Some(libc::EINVAL) => anyhow!("this kernel keeps no statistics of BPF programs: 5.8 does"),
        _ => anyhow!("cannot look at BPF programs: {err}"),
    }
}
