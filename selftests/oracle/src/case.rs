// SPDX-License-Identifier: GPL-2.0

//! A request for an image, in the kernel's terms and independent of a builder.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// `BPF_TRAMP_F_*`.
///
/// C header: `include/linux/bpf.h`
pub mod flags {
    pub const RESTORE_REGS: u32 = 1 << 0;
    pub const CALL_ORIG: u32 = 1 << 1;
    pub const SKIP_FRAME: u32 = 1 << 2;
    pub const IP_ARG: u32 = 1 << 3;
    pub const RET_FENTRY_RET: u32 = 1 << 4;
    pub const ORIG_STACK: u32 = 1 << 5;
    pub const SHARE_IPMODIFY: u32 = 1 << 6;
    pub const TAIL_CALL_CTX: u32 = 1 << 7;
    pub const INDIRECT: u32 = 1 << 8;
}

/// `BTF_FMODEL_ARENA_ARG` and `BTF_FMODEL_NULLABLE_ARG`.
pub const ARENA: u8 = 1 << 2;
pub const NULLABLE: u8 = 1 << 3;

/// One argument of the traced function: its bytes, 1 to 16, and its `BTF_FMODEL_*` flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    pub size: u8,
    pub flags: u8,
}

/// One program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prog {
    /// Address of its `struct bpf_prog`, which is never dereferenced.
    pub addr: u64,
    /// Number of its code's stub, 0 to [`MAX_CODES`].
    pub code: usize,
    /// Address of its instructions if it is interpreted.
    pub insnsi: Option<u64>,
    /// Which of the [`PAIRS`] of enter and exit helpers it runs between.
    pub pair: usize,
    pub bpf_cookie: u64,
    pub session: bool,
    pub session_cookie: bool,
}

/// Pairs of helpers: plain, recursion-checked, sleepable, both, LSM-cgroup.
pub const PAIRS: usize = 5;

/// Programs of one case.
pub const MAX_CODES: usize = 36;

/// Preamble of an image that is called indirectly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    None,
    Endbr,
    Kcfi { hash: u32, padding: u8, endbr: bool },
    FineIbt { hash: u32, bhi: bool },
}

/// Properties of the machine that the image depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Images return through the return thunk.
    pub return_thunk: bool,
    /// An `int3` follows each `ret`.
    pub sls: bool,
    /// Calls shift the call-depth counter.
    pub call_depth: bool,
    /// Calls increment the debug call counter as well.
    pub call_count: bool,
    /// Bit `n % 64`: stub `n` does its own accounting.
    pub counted: u64,
    /// Functions whose image calls them enter it with `jmp`.
    pub jmp: bool,
    /// Size of `struct bpf_tramp_run_ctx`, and offset of `bpf_cookie` in it.
    pub run_ctx_size: u16,
    pub bpf_cookie_off: u16,
}

/// One request for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub args: Vec<Arg>,
    pub flags: u32,
    /// The function begins with `endbr64`.
    pub endbr: bool,
    /// Address for `bpf_get_func_ip()`, if it is not that of the stub for the function.
    pub func_ip: Option<u64>,
    pub preamble: Preamble,
    pub fentry: Vec<Prog>,
    pub fmod_ret: Vec<Prog>,
    pub fexit: Vec<Prog>,
    pub machine: Machine,
    /// Address of the `struct bpf_tramp_image`.
    pub im: u64,
    /// Kernel address of the arena, if there is one.
    pub arena: Option<u64>,
}

/// When a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Entry,
    ModifyReturn,
    Return,
}

/// One program call of an image.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub half: Half,
    pub prog: Prog,
}

impl Case {
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }

    /// All program calls in the order in which an image makes them.
    pub fn calls(&self) -> Vec<Call> {
        let of = |half, progs: &[Prog]| {
            let calls = progs.iter().map(|&prog| Call { half, prog });
            calls.collect::<Vec<_>>()
        };
        let mut calls = of(Half::Entry, &self.fentry);
        calls.extend(of(Half::ModifyReturn, &self.fmod_ret));
        calls.extend(of(Half::Return, &self.fexit));
        calls
    }

    /// Whether the function enters the image with `jmp`.
    pub fn entered_by_jmp(&self) -> bool {
        self.machine.jmp && self.has(flags::CALL_ORIG) && !self.has(flags::SKIP_FRAME)
    }

    /// Whether the function's body runs after the image, rather than within it or not at all.
    pub fn returns_into_function(&self) -> bool {
        self.flags & (flags::CALL_ORIG | flags::SKIP_FRAME | flags::INDIRECT) == 0
    }

    /// Whether the image sets the return value of its caller.
    pub fn keeps_return_value(&self) -> bool {
        self.flags & (flags::CALL_ORIG | flags::RET_FENTRY_RET) != 0
    }

    /// Offset of the image's entry.
    pub fn entry_offset(&self) -> u64 {
        match self.preamble {
            Preamble::Kcfi { padding, .. } if self.has(flags::INDIRECT) => 5 + u64::from(padding),
            _ => 0,
        }
    }

    /// Whether the kernel may ask for this. There is no contract for anything else.
    pub fn is_legal(&self) -> bool {
        let calls = self.has(flags::CALL_ORIG);
        let exits = !self.fmod_ret.is_empty() || !self.fexit.is_empty();
        let sessions = self.fentry.iter().any(|prog| prog.session);
        let returns_once =
            !calls || self.has(flags::SKIP_FRAME) || self.machine.jmp || self.has(flags::INDIRECT);
        let kinds = match self.flags & !(flags::IP_ARG | flags::SHARE_IPMODIFY) {
            f if f & flags::INDIRECT != 0 => {
                f & !(flags::INDIRECT | flags::RET_FENTRY_RET) == 0 && self.flags == f
            }
            f if f & flags::ORIG_STACK != 0 => calls && self.has(flags::SKIP_FRAME),
            _ => true,
        };
        let returns = !self.has(flags::RET_FENTRY_RET) || !calls;
        let arena = self.arena.is_none() || (self.has(flags::INDIRECT) && self.fentry.len() == 1);
        kinds && returns && returns_once && arena && (calls || (!exits && !sessions))
    }
}

/// Random number generator of one run.
pub fn rng(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// A value that a wrong image is unlikely to produce.
pub fn garbage(rng: &mut SmallRng) -> u64 {
    rng.random::<u64>() | (1 << 62)
}
