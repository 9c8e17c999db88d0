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
        bpf_target,
        plan::{
            List,
            Plan, //
        },
    },
    platform::Platform,
};
use kernel::prelude::*;

/// A plan in the builder's terms, all but the place.
pub(super) struct Described<'p> {
    platform: &'p Platform,
    target: Target,
    flags: Flags,
    fentry: KVec<Program>,
    fmod_ret: KVec<Program>,
    fexit: KVec<Program>,
    arena_base: Option<u64>,
}

impl<'p> Described<'p> {
    /// Converts `plan`.
    pub(super) fn new(
        platform: &'p Platform,
        plan: &Plan<'_>,
    ) -> core::result::Result<Self, Failure> {
        // C checks the flags before the arguments.
        let flags = Flags::from_bits(plan.flags())?;
        flags.check()?;
        let model = plan.model();
        let model = FuncModel::new(model.arg_sizes(), model.arg_flags())?;
        let symbols = platform.symbols;
        let mut described = Self {
            platform,
            target: Target {
                model,
                addr: plan.func(),
                endbr: bpf_target::starts_with_endbr(plan.func(), symbols),
                preamble: platform.preamble(plan.func()),
            },
            flags,
            fentry: KVec::new(),
            fmod_ret: KVec::new(),
            fexit: KVec::new(),
            arena_base: plan.arena_base(symbols),
        };
        for node in plan.nodes() {
            let list = match node.list {
                List::Fentry => &mut described.fentry,
                List::ModifyReturn => &mut described.fmod_ret,
                List::Fexit => &mut described.fexit,
            };
            list.push(platform.describe(node.prog, node.cookie), GFP_KERNEL)?;
        }
        Ok(described)
    }

    /// The request for an image with the `struct bpf_tramp_image` at address `im`.
    pub(super) fn request(&self, im: u64) -> Request<'_> {
        Request {
            target: &self.target,
            flags: self.flags,
            programs: Programs {
                fentry: &self.fentry,
                fmod_ret: &self.fmod_ret,
                fexit: &self.fexit,
            },
            machine: &self.platform.machine,
            image: im,
            arena_base: self.arena_base,
            scratch_align: 0,
        }
    }

    /// Number of skip records of the image.
    pub(super) fn nr_skips(&self) -> usize {
        self.fentry.len() + self.fmod_ret.len() + self.fexit.len()
    }
}
