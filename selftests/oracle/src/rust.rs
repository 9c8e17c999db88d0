// SPDX-License-Identifier: GPL-2.0

//! Images from the Rust builder.

use crate::case::{self, Case, Prog};
use crate::image::{Image, Skip};
use crate::memory::{stub, Addresses};
use builder::{
    self as builder, CallDepth, Callee, Draft, Error, Flags, FuncModel, Machine, Preamble, Program,
    Programs, Quirks, Request, Target, IMAGE_MAX, MAX_LINKS,
};

/// A request to the Rust builder, with all that it refers to.
#[derive(Clone, Debug)]
pub struct OwnedRequest {
    pub target: Target,
    pub flags: Flags,
    pub fentry: Vec<Program>,
    pub fmod_ret: Vec<Program>,
    pub fexit: Vec<Program>,
    pub machine: Machine,
    pub image: u64,
    pub arena_base: Option<u64>,
}

/// Translates a case to a request.
///
/// # Errors
///
/// The builder refuses the function's arguments.
pub fn request(case: &Case, at: &Addresses, quirks: Quirks) -> Result<OwnedRequest, Error> {
    let counted = |id: usize| (case.machine.counted >> (id % 64)) & 1 != 0;
    let callee = |id: usize| Callee {
        addr: at.stub(id),
        counted: counted(id),
    };
    let programs = |progs: &[Prog]| -> Vec<_> {
        let program = |prog: &Prog| Program {
            prog: prog.addr,
            entry: callee(stub::PROG + prog.code),
            insnsi: prog.insnsi,
            enter: callee(stub::ENTER + prog.pair),
            exit: callee(stub::EXIT + prog.pair),
            cookie: prog.bpf_cookie,
            session: prog.session,
            session_cookie: prog.session_cookie,
        };
        progs.iter().map(program).collect()
    };
    let sizes: Vec<_> = case.args.iter().map(|arg| arg.size).collect();
    let arg_flags: Vec<_> = case.args.iter().map(|arg| arg.flags).collect();
    let machine = &case.machine;
    Ok(OwnedRequest {
        target: Target {
            model: FuncModel::new(&sizes, &arg_flags)?,
            addr: at.func(),
            endbr: case.endbr,
            preamble: match case.preamble {
                case::Preamble::None => Preamble::None,
                case::Preamble::Endbr => Preamble::Endbr,
                case::Preamble::Kcfi {
                    hash,
                    padding,
                    endbr,
                } => Preamble::Kcfi {
                    hash,
                    padding,
                    endbr,
                },
                case::Preamble::FineIbt { hash, bhi } => Preamble::FineIbt {
                    hash,
                    bhi: bhi.then(|| at.stub(stub::BHI_THUNK)),
                },
            },
        },
        flags: Flags::from_bits(case.flags)?,
        fentry: programs(&case.fentry),
        fmod_ret: programs(&case.fmod_ret),
        fexit: programs(&case.fexit),
        machine: Machine {
            tramp_enter: callee(stub::TRAMP_ENTER),
            tramp_exit: callee(stub::TRAMP_EXIT),
            return_thunk: machine.return_thunk.then(|| at.stub(stub::RETURN_THUNK)),
            sls: machine.sls,
            call_depth: machine.call_depth.then(|| CallDepth {
                depth: at.depth(),
                calls: machine.call_count.then(|| at.calls()),
            }),
            jmp: machine.jmp,
            run_ctx_size: machine.run_ctx_size,
            bpf_cookie_off: machine.bpf_cookie_off,
            quirks,
        },
        image: case.im,
        arena_base: case.arena,
    })
}

impl OwnedRequest {
    /// Builds the image.
    ///
    /// # Errors
    ///
    /// The builder's.
    pub fn build(&self, at: &Addresses) -> Result<Image, Error> {
        let request = Request {
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
            scratch_align: 0,
        };
        let mut code = vec![0; IMAGE_MAX.into()];
        let mut skips = [builder::Skip::default(); MAX_LINKS];
        let image = builder::build(
            &request,
            at.image,
            &mut code,
            &mut skips,
            &mut Draft::default(),
        )?;
        code.truncate(image.code_len.into());
        let skips = skips.iter().take(image.nr_skips.into());
        Ok(Image {
            code,
            skips: skips
                .map(|skip| Skip {
                    prog: skip.prog,
                    nop: skip.nop.into(),
                    target: skip.target.into(),
                })
                .collect(),
            fp: [image.fp_start.into(), image.fp_end.into()],
        })
    }
}

/// The image for a case, with the quirks of the current C builder.
///
/// # Errors
///
/// Those of the builder.
pub fn build(case: &Case, at: &Addresses) -> Result<Image, Error> {
    request(case, at, Quirks::C)?.build(at)
}
