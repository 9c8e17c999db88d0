// SPDX-License-Identifier: GPL-2.0

//! Input of the builder, and its output besides the code.

use super::error::{Error, Result};
use super::{Callee, Flags, FuncModel, Machine, Preamble, SAFETY};

/// Maximum number of programs on a trampoline (`BPF_MAX_TRAMP_LINKS`). A session counts twice, at
/// entry and at return.
pub const MAX_LINKS: usize = 36;

/// The traced function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its arguments.
    pub model: FuncModel,
    /// Its address, for `bpf_get_func_ip()` (`func_addr`).
    pub addr: u64,
    /// It begins with `endbr64` or its poison (`is_endbr()`). The image calls the function behind
    /// that and behind the patched instruction.
    pub endbr: bool,
    /// Preamble of an image with [`Flags::INDIRECT`]; others do not use it.
    pub preamble: Preamble,
}

/// One attached program (`struct bpf_tramp_node` and its `struct bpf_prog`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Address of its `struct bpf_prog`.
    pub prog: u64,
    /// Its code, or the interpreter (`bpf_func`).
    pub entry: Callee,
    /// Address of its instructions if it is interpreted (`insnsi` if not `jited`).
    pub insnsi: Option<u64>,
    /// Enter helper (`bpf_trampoline_enter()`).
    pub enter: Callee,
    /// Exit helper (`bpf_trampoline_exit()`).
    pub exit: Callee,
    /// Its BPF cookie, for `bpf_get_attach_cookie()`.
    pub cookie: u64,
    /// It is a session (`BPF_TRACE_FSESSION` or `BPF_TRACE_FSESSION_MULTI`).
    pub session: bool,
    /// It uses a session cookie (`call_session_cookie`).
    pub session_cookie: bool,
}

/// The attached programs by kind, in the order in which they run (`struct bpf_tramp_nodes
/// [BPF_TRAMP_MAX]`). A session is in both `fentry` and `fexit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Programs<'a> {
    /// Run before the function.
    pub fentry: &'a [Program],
    /// Run before the function. The first one that returns a value other than 0 replaces the
    /// function.
    pub fmod_ret: &'a [Program],
    /// Run after the function.
    pub fexit: &'a [Program],
}

impl<'a> Programs<'a> {
    /// The lists in the order in which they run.
    pub(super) fn in_order(&self) -> [&'a [Program]; 3] {
        [self.fentry, self.fmod_ret, self.fexit]
    }

    /// Number of programs.
    pub(super) fn count(&self) -> usize {
        self.in_order()
            .iter()
            .fold(0, |sum, list| sum.saturating_add(list.len()))
    }

    /// Whether there are sessions (`bpf_fsession_cnt()`).
    pub(super) fn has_sessions(&self) -> bool {
        self.fentry.iter().any(|program| program.session)
    }

    /// Number of session cookies (`bpf_fsession_cookie_cnt()`).
    pub(super) fn nr_cookies(&self) -> u8 {
        let cookies = self.fentry.iter().filter(|p| p.session_cookie);
        u8::try_from(cookies.count()).unwrap_or(u8::MAX)
    }
}

/// Everything that an image depends on, except for the address where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The function.
    pub target: &'a Target,
    /// Flags of the image.
    pub flags: Flags,
    /// The programs.
    pub programs: Programs<'a>,
    /// The running kernel.
    pub machine: &'a Machine,
    /// Address of the image's `struct bpf_tramp_image`, used with [`Flags::CALL_ORIG`] only. To
    /// measure an image, any address will do that needs a 64-bit immediate, as all addresses
    /// outside of the kernel's own image do.
    pub image: u64,
    /// Kernel address of the arena that arena arguments are relative to (`bpf_tramp_arena_base()`);
    /// [`None`] where it returns 0.
    pub arena_base: Option<u64>,
    /// Address modulo 16 of the C builder's scratch buffer, to build the same image; otherwise 0.
    /// See [`Quirks::aligned_in_scratch`](super::Quirks::aligned_in_scratch).
    pub scratch_align: u8,
}

impl Request<'_> {
    /// Refuses a request for which no image is correct, or that its quirks rule out.
    pub(super) fn check(&self) -> Result {
        if self.programs.count() > MAX_LINKS {
            return Err(Error::TooBig);
        }
        self.flags.check()?;
        self.machine.quirks.check(self)
    }
}

/// Marks of an image, as offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Number of bytes of code.
    pub code_len: u16,
    /// First instruction with the frame pointer in `rbp` (`ksym.fp_start`).
    pub fp_start: u16,
    /// First instruction without (`ksym.fp_end`).
    pub fp_end: u16,
    /// Number of skip records, one for each program call.
    pub nr_skips: u16,
}

impl Marks {
    /// Number of bytes to allocate, which the C builder returns.
    pub const fn size(&self) -> u16 {
        self.code_len.saturating_add(SAFETY)
    }
}

/// How to patch a program out of an image that tasks may be executing (`struct bpf_tramp_skip`).
/// Both offsets are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skip {
    /// Address of the program's `struct bpf_prog`.
    pub prog: u64,
    /// The 5-byte nop before its call sequence.
    pub nop: u16,
    /// The first instruction after its call sequence.
    pub target: u16,
}

/// Receives the skip records of an image.
pub(super) struct Skips<'a> {
    out: &'a mut [Skip],
    len: usize,
}

impl<'a> Skips<'a> {
    /// Stores records in `out`.
    pub(super) fn over(out: &'a mut [Skip]) -> Self {
        Self { out, len: 0 }
    }

    /// Number of records.
    pub(super) fn len(&self) -> Result<u16> {
        u16::try_from(self.len).map_err(|_| Error::TooBig)
    }

    /// Adds a record; [`Error::TooBig`] if there is no space for it.
    pub(super) fn push(&mut self, skip: Skip) -> Result {
        *self.out.get_mut(self.len).ok_or(Error::TooBig)? = skip;
        self.len = self.len.wrapping_add(1);
        Ok(())
    }
}
