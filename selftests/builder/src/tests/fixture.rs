// SPDX-License-Identifier: GPL-2.0

//! Requests that own what they refer to.

use crate::builder::tests::fixture;
use crate::builder::{
    build, draft, Draft, Error, Flags, Machine, Marks, Program, Programs, Request, Skip, Target,
    MAX_LINKS,
};

pub(crate) use crate::builder::tests::fixture::{program, IP};

/// A request with all that it refers to.
#[derive(Clone, Debug)]
pub struct Case {
    pub target: Target,
    pub flags: Flags,
    pub fentry: Vec<Program>,
    pub fmod_ret: Vec<Program>,
    pub fexit: Vec<Program>,
    pub machine: Machine,
    pub image: u64,
    pub arena_base: Option<u64>,
    pub scratch_align: u8,
}

impl Case {
    /// A function with arguments of these sizes, without programs, on a current machine.
    pub fn new(sizes: &[u8], flags: Flags) -> Self {
        let case = fixture::Case::new(sizes, flags).unwrap();
        Self {
            target: case.target,
            flags,
            fentry: Vec::new(),
            fmod_ret: Vec::new(),
            fexit: Vec::new(),
            machine: case.machine,
            image: case.image,
            arena_base: case.arena_base,
            scratch_align: case.scratch_align,
        }
    }

    /// Adds a session.
    pub fn attach(mut self, session: Program) -> Self {
        self.fentry.push(session);
        self.fexit.push(session);
        self
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            target: &self.target,
            flags: self.flags,
            programs: Programs {
                fentry: &self.fentry,
                fmod_ret: &self.fmod_ret,
                fexit: &self.fexit,
            },
            machine: &self.machine,
            image: self.image,
            arena_base: self.arena_base,
            scratch_align: self.scratch_align,
        }
    }

    /// Makes a draft at `ip`, with buffers that are large enough.
    pub fn draft_at(&self, ip: u64) -> Result<Marks, Error> {
        let mut code = vec![0xcc; 4096];
        let mut skips = vec![Skip::default(); MAX_LINKS];
        draft(
            &self.request(),
            ip,
            &mut code,
            &mut skips,
            &mut Draft::default(),
        )
    }

    /// Makes a draft at `from`, and gives it the place `to`, for the image at address `image`.
    pub fn placed(&self, from: u64, to: u64, image: u64) -> Result<Built, Error> {
        let mut code = vec![0xcc; 4096];
        let mut skips = vec![Skip::default(); MAX_LINKS];
        let (request, mut drafted) = (self.request(), Draft::default());
        let marks = draft(&request, from, &mut code, &mut skips, &mut drafted)?;
        drafted.place(&request.programs, &skips, &mut code, to, image)?;
        Ok(Built::new(marks, code, skips))
    }

    /// Builds at `ip`, with buffers that are large enough.
    pub fn build_at(&self, ip: u64) -> Result<Built, Error> {
        let mut code = vec![0xcc; 4096];
        let mut skips = vec![Skip::default(); MAX_LINKS];
        let image = build(
            &self.request(),
            ip,
            &mut code,
            &mut skips,
            &mut Draft::default(),
        )?;
        Ok(Built::new(image, code, skips))
    }

    pub fn build(&self) -> Result<Built, Error> {
        self.build_at(IP)
    }

    /// Builds at `ip` without a copy of a call sequence, on a machine without call-depth tracking.
    pub fn emitted_at(&self, ip: u64) -> Result<Built, Error> {
        let mut case = self.clone();
        let programs = case
            .fentry
            .iter_mut()
            .chain(&mut case.fmod_ret)
            .chain(&mut case.fexit);
        // What does its own accounting makes no difference there, but the sequences seem to differ
        // from those that are kept to be copied.
        for (number, program) in programs.enumerate() {
            let odd = number % 2 != 0;
            program.enter.counted = odd;
            program.exit.counted = number / 2 % 2 != 0;
            program.entry.counted = number >= 4;
        }
        case.build_at(ip)
    }
}

/// An image with its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub image: Marks,
    pub code: Vec<u8>,
    pub skips: Vec<Skip>,
}

impl Built {
    fn new(image: Marks, mut code: Vec<u8>, mut skips: Vec<Skip>) -> Self {
        code.truncate(image.code_len.into());
        skips.truncate(image.nr_skips.into());
        Self { image, code, skips }
    }
}
