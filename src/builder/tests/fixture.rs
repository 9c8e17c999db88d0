// SPDX-License-Identifier: GPL-2.0

//! A made-up kernel, function and programs.

use crate::builder::writer::PAGE;
use crate::builder::{
    build, draft, CallDepth, Callee, Draft, Error, Flags, FuncModel, Machine, Marks, Preamble,
    Program, Programs, Quirks, Request, Skip, Target, MAX_LINKS,
};

/// Address where images run.
pub(crate) const IP: u64 = 0xffff_ffff_c000_0000;

const FUNC: u64 = 0xffff_ffff_8123_4560;
const TRAMP_ENTER: u64 = 0xffff_ffff_8110_0000;
const TRAMP_EXIT: u64 = 0xffff_ffff_8110_0100;
const ENTER: u64 = 0xffff_ffff_8110_0200;
const EXIT: u64 = 0xffff_ffff_8110_0300;
const CALL_COUNT: u64 = 0xffff_ffff_8340_0008;
const BHI_ARGS: u64 = 0xffff_ffff_8200_1000;
const IMAGE: u64 = 0xffff_8881_0123_4000;
const PROG: u64 = 0xffff_c900_0020_0000;
const ENTRY: u64 = 0xffff_ffff_c010_0000;
const INSNSI: u64 = 0xffff_c900_0020_0048;

/// `__x86_return_thunk`.
pub(crate) const RETURN_THUNK: u64 = 0xffff_ffff_8200_0000;

/// Call-depth tracking without the debug counter.
pub(crate) const CALL_DEPTH: CallDepth = CallDepth {
    depth: 0xffff_ffff_8340_0000,
    calls: None,
};

/// Call-depth tracking with the debug counter.
pub(crate) const CALL_COUNTS: CallDepth = CallDepth {
    calls: Some(CALL_COUNT),
    ..CALL_DEPTH
};

/// Names of all these addresses, and of those of programs 0 to 2.
pub(crate) const SYMBOLS: [(&str, u64); 18] = [
    ("func", FUNC),
    ("body", FUNC + 9),
    ("tramp_enter", TRAMP_ENTER),
    ("tramp_exit", TRAMP_EXIT),
    ("enter", ENTER),
    ("exit", EXIT),
    ("return_thunk", RETURN_THUNK),
    ("call_depth", CALL_DEPTH.depth),
    ("call_count", CALL_COUNT),
    ("bhi_args_2", bhi_args(2)),
    ("image", IMAGE),
    ("prog0", program(0).prog),
    ("prog1", program(1).prog),
    ("prog2", program(2).prog),
    ("entry0", program(0).entry.addr),
    ("entry1", program(1).entry.addr),
    ("entry2", program(2).entry.addr),
    ("insnsi0", INSNSI),
];

/// A callee without accounting of its own.
pub(crate) const fn callee(addr: u64) -> Callee {
    Callee {
        addr,
        counted: false,
    }
}

/// The thunk for `arity` arguments.
pub(crate) const fn bhi_args(arity: u64) -> u64 {
    BHI_ARGS + 32 * arity
}

/// The program with this number: jited, without any cookie.
pub(crate) const fn program(number: u64) -> Program {
    Program {
        prog: PROG + number * 0x1000,
        entry: callee(ENTRY + number * 0x1000),
        insnsi: None,
        enter: callee(ENTER),
        exit: callee(EXIT),
        cookie: 0,
        session: false,
        session_cookie: false,
    }
}

/// The same program as a session, with or without a session cookie.
pub(crate) const fn session(number: u64, session_cookie: bool) -> Program {
    Program {
        session: true,
        session_cookie,
        ..program(number)
    }
}

/// The same program, interpreted. All of them have the same instructions.
pub(crate) const fn interpreted(number: u64) -> Program {
    Program {
        insnsi: Some(INSNSI),
        ..program(number)
    }
}

/// A request with all that it refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) target: Target,
    pub(crate) flags: Flags,
    pub(crate) programs: Programs<'a>,
    pub(crate) machine: Machine,
    pub(crate) image: u64,
    pub(crate) arena_base: Option<u64>,
    pub(crate) scratch_align: u8,
}

impl<'a> Case<'a> {
    /// A function with arguments of these sizes, without programs, on a current machine.
    ///
    /// # Errors
    ///
    /// The builder refuses the arguments.
    pub(crate) fn new(sizes: &[u8], flags: Flags) -> Result<Self, Error> {
        const NO_FLAGS: [u8; 16] = [0; 16];
        let arg_flags = NO_FLAGS.get(..sizes.len()).ok_or(Error::Invalid)?;
        Ok(Self {
            target: Target {
                model: FuncModel::new(sizes, arg_flags)?,
                addr: FUNC,
                endbr: true,
                preamble: Preamble::Endbr,
            },
            flags,
            programs: Programs::default(),
            machine: Machine {
                tramp_enter: callee(TRAMP_ENTER),
                tramp_exit: callee(TRAMP_EXIT),
                return_thunk: None,
                sls: true,
                call_depth: None,
                jmp: true,
                run_ctx_size: 24,
                bpf_cookie_off: 8,
                quirks: Quirks::C,
            },
            image: IMAGE,
            arena_base: None,
            scratch_align: 0,
        })
    }

    /// Adds entry programs.
    pub(crate) fn at_entry(mut self, programs: &'a [Program]) -> Self {
        self.programs.fentry = programs;
        self
    }

    /// Adds sessions.
    pub(crate) fn with_sessions(mut self, sessions: &'a [Program]) -> Self {
        (self.programs.fentry, self.programs.fexit) = (sessions, sessions);
        self
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            target: &self.target,
            flags: self.flags,
            programs: self.programs,
            machine: &self.machine,
            image: self.image,
            arena_base: self.arena_base,
            scratch_align: self.scratch_align,
        }
    }

    /// Makes a draft, with buffers that are large enough.
    pub(crate) fn measure(&self) -> Result<Marks, Error> {
        let (mut code, mut skips) = ([0; PAGE], [Skip::default(); MAX_LINKS]);
        let request = self.request();
        draft(&request, IP, &mut code, &mut skips, &mut Draft::default())
    }

    pub(crate) fn build(&self, code: &mut [u8], skips: &mut [Skip]) -> Result<Marks, Error> {
        build(&self.request(), IP, code, skips, &mut Draft::default())
    }
}
