// SPDX-License-Identifier: GPL-2.0

//! Converts a plan for the builder.

use super::refusal::Failure;
use crate::{
    builder::{
        Flags,
        FuncModel,
        Program,
        Programs,
        Request,
        Target, //
    },
    kapi::{
        bpf_prog::{
            ChosenBy,
            Prog,
            RunGuards, //
        },
        bpf_target,
        plan::{
            List,
            Plan, //
        },
        symbols::Symbols, //
    },
    platform::{
        Memory,
        Platform, //
    },
};
use kernel::prelude::*;

/// A plan in the builder's terms, all but the programs and the place.
pub(super) struct Described<'p> {
    platform: &'p Platform,
    target: Target,
    flags: Flags,
    /// Number of programs on each list, in the order in which they are described.
    counts: [usize; List::ALL.len()],
    arena_base: Option<u64>,
}

impl<'p> Described<'p> {
    /// Converts `plan`, and its programs in `memory`, of whose image nothing is left.
    pub(super) fn new(
        platform: &'p Platform,
        plan: &Plan<'_>,
        memory: &mut Memory,
    ) -> core::result::Result<Self, Failure> {
        memory.measured = None;
        memory.programs.clear();
        // C checks the flags before the arguments.
        let flags = Flags::from_bits(plan.flags())?;
        flags.check()?;
        let model = plan.model();
        let model = FuncModel::new(model.arg_sizes(), model.arg_flags())?;
        let symbols = platform.symbols;
        let mut known = None;
        for list in List::ALL {
            for node in plan.programs(list) {
                let guards = guards(node.prog, &mut known, symbols);
                let program = platform.describe(node.prog, node.cookie, guards);
                memory.programs.push(program, GFP_KERNEL)?;
            }
        }
        Ok(Self {
            platform,
            target: Target {
                model,
                addr: plan.func(),
                endbr: bpf_target::starts_with_endbr(plan.func(), symbols),
                preamble: platform.preamble(plan.func()),
            },
            flags,
            counts: plan.counts(),
            arena_base: plan.arena_base(symbols),
        })
    }

    /// The request for an image with these `programs`, and with the `struct bpf_tramp_image` at
    /// address `im`.
    pub(super) fn request<'a>(&'a self, programs: &'a [Program], im: u64) -> Request<'a> {
        Request {
            target: &self.target,
            flags: self.flags,
            programs: lists(self.counts, programs),
            machine: &self.platform.machine,
            image: im,
            arena_base: self.arena_base,
            scratch_align: 0,
        }
    }
}

/// The guards of `prog`: the kernel is not asked again for a program like the last one.
fn guards(prog: &Prog, known: &mut Option<(ChosenBy, RunGuards)>, symbols: Symbols) -> RunGuards {
    let chosen_by = prog.guards_chosen_by();
    match known {
        Some((like, guards)) if chosen_by == Some(*like) => *guards,
        _ => {
            let guards = prog.run_guards(symbols);
            *known = chosen_by.map(|like| (like, guards));
            guards
        }
    }
}

/// The lists of `programs`, with `counts` of them, in the order in which they are described.
pub(super) fn lists(counts: [usize; List::ALL.len()], programs: &[Program]) -> Programs<'_> {
    let [fentry, fexit, fmod_ret] = counts;
    let (fentry, rest) = split(programs, fentry);
    let (fexit, rest) = split(rest, fexit);
    let (fmod_ret, _) = split(rest, fmod_ret);
    Programs {
        fentry,
        fmod_ret,
        fexit,
    }
}

fn split(programs: &[Program], len: usize) -> (&[Program], &[Program]) {
    programs.split_at_checked(len).unwrap_or((programs, &[]))
}
