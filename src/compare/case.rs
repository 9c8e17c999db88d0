// SPDX-License-Identifier: GPL-2.0

//! Checks a case, and makes a plan of it.

use super::Bench;
use crate::{
    builder::{
        self,
        Flags, //
    },
    kapi::{
        bpf_prog::BpfProg,
        bpf_target,
        btf_func_model::BtfFuncModel,
        errno::unsupported,
        fake_prog::{
            FakeKind,
            FakeProgs,
            FakeSpec, //
        },
        features,
        plan::{
            List,
            OwnPlan, //
        },
        uapi, //
    },
    platform::Platform,
};
use kernel::prelude::*;

/// A checked case.
pub(crate) struct Case {
    model: BtfFuncModel,
    func: u64,
    flags: u32,
    progs: FakeProgs,
    /// List and BPF cookie of each program.
    places: KVec<(List, u64)>,
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
        match &arena_owner {
            Some(owner) if !owner.has_arena() => return Err(EINVAL),
            // C warns of an arena argument without an arena.
            None if flags.iter().any(points_into_arena) => return Err(EINVAL),
            _ => (),
        }

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
        let specs = progs.iter().map(|prog| spec(prog, bench, platform));
        // C expects arguments that BTF can describe.
        if let Err(e @ builder::Error::Invalid) = builder::FuncModel::new(sizes, flags) {
            return Err(e.into());
        }
        Flags::from_bits(raw.flags)?;
        Ok(Self {
            model: BtfFuncModel::new(sizes, flags)?,
            func: function(raw.endbr, platform)?,
            flags: raw.flags,
            progs: FakeProgs::new(specs, arena_owner)?,
            places,
        })
    }

    /// The plan for the case's image.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `E2BIG` for more programs than a list takes.
    pub(super) fn plan(&self) -> Result<OwnPlan<'_>> {
        OwnPlan::pretended(self.model, self.func, self.flags, &self.progs, &self.places)
    }
}

/// A function of the kernel that begins with an ENDBR, or a place in one that does not.
fn function(endbr: u32, platform: &Platform) -> Result<u64> {
    let function = platform.machine.tramp_enter.addr;
    match endbr {
        0 => Ok(function.wrapping_add(1)),
        1 if bpf_target::starts_with_endbr(function, platform.symbols) => Ok(function),
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

fn points_into_arena(arg_flags: &u8) -> bool {
    features::ARENA_ARG.is_some_and(|(arena, _)| arg_flags & arena != 0)
}
