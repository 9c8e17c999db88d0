// SPDX-License-Identifier: GPL-2.0

//! A kernel, a function and programs that do not exist.

use super::disasm::Symbols;
use crate::trampoline::{
    build, measure, CallDepth, Callee, Error, Flags, FuncModel, Image, Machine, Preamble, Program,
    Programs, Quirks, Request, Skip, Target, MAX_LINKS,
};

/// Where images run.
pub const IP: u64 = 0xffff_ffff_c000_0000;

const FUNC: u64 = 0xffff_ffff_8123_4560;
const TRAMP_ENTER: u64 = 0xffff_ffff_8110_0000;
const TRAMP_EXIT: u64 = 0xffff_ffff_8110_0100;
const ENTER: u64 = 0xffff_ffff_8110_0200;
const EXIT: u64 = 0xffff_ffff_8110_0300;
const RETURN_THUNK: u64 = 0xffff_ffff_8200_0000;
const CALL_DEPTH: u64 = 0xffff_ffff_8340_0000;
const CALL_COUNT: u64 = 0xffff_ffff_8340_0008;
const BHI_ARGS: u64 = 0xffff_ffff_8200_1000;
const IMAGE: u64 = 0xffff_8881_0123_4000;
const PROG: u64 = 0xffff_c900_0020_0000;
const ENTRY: u64 = 0xffff_ffff_c010_0000;
const INSNSI: u64 = 0xffff_c900_0020_0048;

/// A callee that leaves the accounting to its caller.
pub const fn callee(addr: u64) -> Callee {
    Callee {
        addr,
        counted: false,
    }
}

/// The program with this number, jited, without any cookie.
pub fn program(number: u64) -> Program {
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

/// The same as a session, with or without a session cookie.
pub fn session(number: u64, session_cookie: bool) -> Program {
    Program {
        session: true,
        session_cookie,
        ..program(number)
    }
}

/// The same for the interpreter.
pub fn interpreted(number: u64) -> Program {
    Program {
        insnsi: Some(INSNSI + number * 0x1000),
        ..program(number)
    }
}

/// The counters of call-depth tracking, with those for debugging.
pub const fn call_depth() -> CallDepth {
    CallDepth {
        depth: CALL_DEPTH,
        calls: Some(CALL_COUNT),
    }
}

/// `__x86_return_thunk`.
pub const fn return_thunk() -> u64 {
    RETURN_THUNK
}

/// The thunk for `arity` arguments.
pub const fn bhi_args(arity: u64) -> u64 {
    BHI_ARGS + 32 * arity
}

/// A request and all that it refers to.
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
    /// A function with arguments of these sizes, nothing attached, on a machine of today.
    pub fn new(sizes: &[u8], flags: Flags) -> Self {
        Self {
            target: Target {
                model: FuncModel::new(sizes, &vec![0; sizes.len()]).unwrap(),
                addr: FUNC,
                endbr: true,
                preamble: Preamble::Endbr,
            },
            flags,
            fentry: Vec::new(),
            fmod_ret: Vec::new(),
            fexit: Vec::new(),
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
        }
    }

    /// The same with a session attached.
    pub fn attach(mut self, session: Program) -> Self {
        self.fentry.push(session);
        self.fexit.push(session);
        self
    }

    pub fn programs(&self) -> Programs<'_> {
        Programs {
            fentry: &self.fentry,
            fmod_ret: &self.fmod_ret,
            fexit: &self.fexit,
        }
    }

    pub fn request(&self) -> Request<'_> {
        Request {
            target: &self.target,
            flags: self.flags,
            programs: self.programs(),
            machine: &self.machine,
            image: self.image,
            arena_base: self.arena_base,
            scratch_align: self.scratch_align,
        }
    }

    pub fn measure(&self) -> Result<Image, Error> {
        measure(&self.request(), IP)
    }

    /// Builds at `ip` with room for everything.
    pub fn build_at(&self, ip: u64) -> Result<Built, Error> {
        let mut code = vec![0xcc; 4096];
        let mut skips = vec![Skip::default(); MAX_LINKS];
        let image = build(&self.request(), ip, &mut code, &mut skips)?;
        code.truncate(image.code_len.into());
        skips.truncate(image.nr_skips.into());
        Ok(Built { image, code, skips })
    }

    pub fn build(&self) -> Result<Built, Error> {
        self.build_at(IP)
    }
}

/// What comes out of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub image: Image,
    pub code: Vec<u8>,
    pub skips: Vec<Skip>,
}

/// Names for everything in this file.
pub fn symbols() -> Symbols {
    let mut symbols: Symbols = [
        (FUNC, "func"),
        (FUNC + 9, "body"),
        (TRAMP_ENTER, "tramp_enter"),
        (TRAMP_EXIT, "tramp_exit"),
        (ENTER, "enter"),
        (EXIT, "exit"),
        (RETURN_THUNK, "return_thunk"),
        (CALL_DEPTH, "call_depth"),
        (CALL_COUNT, "call_count"),
        (BHI_ARGS + 64, "bhi_args_2"),
        (IMAGE, "image"),
    ]
    .map(|(address, name)| (address, name.into()))
    .into();
    for n in 0..4 {
        symbols.insert(PROG + n * 0x1000, format!("prog{n}"));
        symbols.insert(ENTRY + n * 0x1000, format!("entry{n}"));
        symbols.insert(INSNSI + n * 0x1000, format!("insnsi{n}"));
    }
    symbols
}
