// SPDX-License-Identifier: GPL-2.0

//! A case, from what user space wrote to what the builders take.

use super::Bench;
use crate::{
    builder::{
        self,
        Flags,
        Target, //
    },
    kapi::{
        bpf_prog::BpfProg,
        bpf_target,
        c_builder::{
            Entry,
            List, //
        },
        errno::unsupported,
        fake_prog::{
            FakeKind,
            FakeProgs,
            FakeSpec, //
        },
        features,
        func_model::FuncModel, //
    },
    platform::Platform,
    uapi, //
};
use kernel::prelude::*;

/// A checked case.
pub(crate) struct Case {
    target: core::result::Result<Target, builder::Error>,
    func: u64,
    model: FuncModel,
    flags: Flags,
    progs: FakeProgs,
    /// List and BPF cookie of each program.
    places: KVec<(List, u64)>,
    arena_base: Option<u64>,
}

impl Case {
    /// Checks a case that is to be built on `bench`.
    ///
    /// # Errors
    ///
    /// As in `RUST_FSESSION_IOC_COMPARE`, and `ENOMEM`.
    pub(crate) fn new(
        raw: &uapi::Case,
        progs: &[uapi::CaseProg],
        bench: &Bench,
        platform: &Platform,
    ) -> Result<Self> {
        if raw.reserved != 0 {
            return Err(EINVAL);
        }
        let nr_args = usize::try_from(raw.nr_args)?;
        let sizes = raw.arg_size.get(..nr_args).ok_or(EINVAL)?;
        let flags = raw.arg_flags.get(..nr_args).ok_or(EINVAL)?;

        let arena_owner = match raw.arena_prog_fd {
            ..0 => None,
            _ if features::ARENA_ARG.is_none() => return Err(unsupported()),
            fd => Some(BpfProg::from_fd(u32::try_from(fd)?)?),
        };
        let arena_base = match &arena_owner {
            Some(owner) => {
                let base = owner.arena_base(platform.bound).ok_or(EINVAL)?;
                converts_arena(raw, progs, flags).then_some(base)
            }
            // C warns of an arena argument without an arena.
            None if flags.iter().any(points_into_arena) => return Err(EINVAL),
            None => None,
        };

        let mut places = KVec::with_capacity(progs.len(), GFP_KERNEL)?;
        for prog in progs {
            let list = match prog.list {
                uapi::LIST_FENTRY => List::Fentry,
                uapi::LIST_FEXIT => List::Fexit,
                uapi::LIST_FMOD_RET => List::ModifyReturn,
                _ => return Err(EINVAL),
            };
            if prog.entry != 0 && platform.machine.call_depth.is_some() {
                return Err(unsupported());
            }
            places.push((list, prog.bpf_cookie), GFP_KERNEL)?;
        }
        if features::CFI && raw.flags & Flags::INDIRECT.bits() != 0 {
            return Err(unsupported());
        }
        let specs = progs.iter().map(|prog| spec(prog, bench, platform));
        let (func, endbr) = function(raw.endbr, platform)?;
        let target = builder::FuncModel::new(sizes, flags).map(|model| Target {
            model,
            addr: func,
            endbr,
            preamble: platform.preamble,
        });
        Ok(Self {
            target: match target {
                Err(e @ builder::Error::Invalid) => return Err(e.into()),
                target => target,
            },
            func,
            model: FuncModel::new(sizes, flags)?,
            flags: Flags::from_bits(raw.flags)?,
            progs: FakeProgs::new(specs, arena_owner)?,
            places,
            arena_base,
        })
    }

    /// The function, or why there cannot be an image for it.
    pub(super) fn target(&self) -> core::result::Result<&Target, builder::Error> {
        self.target.as_ref().map_err(|e| *e)
    }

    /// The function's address.
    pub(super) fn func(&self) -> u64 {
        self.func
    }

    pub(super) fn model(&self) -> FuncModel {
        self.model
    }

    pub(super) fn flags(&self) -> Flags {
        self.flags
    }

    pub(super) fn arena_base(&self) -> Option<u64> {
        self.arena_base
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        let places = self.places.iter();
        places
            .zip(self.progs.iter())
            .map(|(&(list, cookie), prog)| (list, prog, cookie))
    }
}

/// A function of the kernel that begins with an ENDBR, or a place in one that does not.
fn function(endbr: u32, platform: &Platform) -> Result<(u64, bool)> {
    let function = platform.machine.tramp_enter.addr;
    match endbr {
        0 => Ok((function.wrapping_add(1), false)),
        1 if bpf_target::starts_with_endbr(function, platform.bound) => Ok((function, true)),
        1 => Err(unsupported()),
        _ => Err(EINVAL),
    }
}

fn spec(prog: &uapi::CaseProg, bench: &Bench, platform: &Platform) -> FakeSpec {
    let has = |traits| prog.traits & traits != 0;
    FakeSpec {
        kind: match prog.list {
            _ if has(uapi::PROG_LSM_CGROUP) => FakeKind::LsmCgroup,
            _ if has(uapi::PROG_LSM) => FakeKind::Lsm,
            _ if has(uapi::PROG_SESSION) => FakeKind::Fsession,
            uapi::LIST_FENTRY => FakeKind::Fentry,
            uapi::LIST_FEXIT => FakeKind::Fexit,
            _ => FakeKind::ModifyReturn,
        },
        multi: has(uapi::PROG_MULTI),
        entry: match prog.entry {
            0 => platform.machine.tramp_exit.addr,
            offset => bench.addr().wrapping_add_signed(offset),
        },
        session_cookie: has(uapi::PROG_COOKIE),
        sleepable: has(uapi::PROG_SLEEPABLE),
        jited: !has(uapi::PROG_INTERPRETED),
    }
}

/// Whether C converts arena arguments for this case.
///
/// C: `bpf_tramp_arena_base()` in `kernel/bpf/trampoline.c`
fn converts_arena(raw: &uapi::Case, progs: &[uapi::CaseProg], arg_flags: &[u8]) -> bool {
    let entry_progs = progs.iter().filter(|prog| prog.list == uapi::LIST_FENTRY);
    raw.flags & Flags::INDIRECT.bits() != 0
        && entry_progs.count() == 1
        && arg_flags.iter().any(points_into_arena)
}

fn points_into_arena(arg_flags: &u8) -> bool {
    features::ARENA_ARG.is_some_and(|flag| arg_flags & flag != 0)
}
