// SPDX-License-Identifier: GPL-2.0

//! What goes into the builder, and what comes out of it besides the code.

use super::error::{Error, Result};
use super::{Callee, Flags, FuncModel, Machine, Preamble, SAFETY};

/// Most programs on one trampoline (`BPF_MAX_TRAMP_LINKS`). A session counts twice, once at entry
/// and once at exit.
pub const MAX_LINKS: usize = 36;

/// The function that the image stands in front of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its arguments.
    pub model: FuncModel,
    /// Its address, where `bpf_get_func_ip()` finds it (`func_addr`).
    pub addr: u64,
    /// It begins with `endbr64` or its poison (`is_endbr()`). An original call lands behind that
    /// and behind the patched instruction.
    pub endbr: bool,
    /// How an image with [`Flags::INDIRECT`] begins; others do not look at it.
    pub preamble: Preamble,
}

/// One attached program (`struct bpf_tramp_node` and its `struct bpf_prog`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Address of its `struct bpf_prog`.
    pub prog: u64,
    /// Its code, or the interpreter (`bpf_func`).
    pub entry: Callee,
    /// Address of its instructions if it is interpreted (`insnsi` where not `jited`).
    pub insnsi: Option<u64>,
    /// What `bpf_trampoline_enter()` gives for it.
    pub enter: Callee,
    /// What `bpf_trampoline_exit()` gives for it.
    pub exit: Callee,
    /// Its BPF cookie, what `bpf_get_attach_cookie()` returns.
    pub cookie: u64,
    /// It is a session (`BPF_TRACE_FSESSION` or `BPF_TRACE_FSESSION_MULTI`).
    pub session: bool,
    /// It uses a session cookie (`call_session_cookie`).
    pub session_cookie: bool,
}

/// The attached programs by kind, each list in the order in which its programs run
/// (`struct bpf_tramp_nodes [BPF_TRAMP_MAX]`). A session stands in `fentry` and in `fexit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Programs<'a> {
    /// Run before the function.
    pub fentry: &'a [Program],
    /// Run before the function; the first to return something else than 0 replaces it.
    pub fmod_ret: &'a [Program],
    /// Run after the function.
    pub fexit: &'a [Program],
}

impl Programs<'_> {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        [self.fentry, self.fmod_ret, self.fexit]
            .iter()
            .fold(0, |sum, list| sum.saturating_add(list.len()))
    }

    /// Whether there are sessions (`bpf_fsession_cnt()`).
    pub(super) fn has_sessions(&self) -> bool {
        self.fentry.iter().any(|program| program.session)
    }

    /// How many session cookies there are (`bpf_fsession_cookie_cnt()`).
    pub(super) fn nr_cookies(&self) -> u8 {
        let cookies = self.fentry.iter().filter(|p| p.session_cookie);
        u8::try_from(cookies.count()).unwrap_or(u8::MAX)
    }
}

/// All that an image depends on, but for the address where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The function.
    pub target: &'a Target,
    /// What to do besides running programs.
    pub flags: Flags,
    /// The programs.
    pub programs: Programs<'a>,
    /// The kernel.
    pub machine: &'a Machine,
    /// Address of the image's `struct bpf_tramp_image`, shown by an image with
    /// [`Flags::CALL_ORIG`] only. A size run may give any address that needs all of its 64 bits,
    /// as every address outside of the kernel's own image does.
    pub image: u64,
    /// Kernel address of the arena against which arena arguments are converted
    /// (`bpf_tramp_arena_base()`); [`None`] where C gives 0.
    pub arena_base: Option<u64>,
    /// Address of the C builder's scratch buffer modulo 16, to be compared with it; else 0. See
    /// [`Quirks::aligned_in_scratch`](super::Quirks::aligned_in_scratch).
    pub scratch_align: u8,
}

impl Request<'_> {
    /// Refuses what no image can be right for, and what the quirks forbid.
    pub(super) fn check(&self) -> Result {
        if self.programs.count() > MAX_LINKS {
            return Err(Error::TooBig);
        }
        self.flags.check()?;
        self.machine.quirks.check(self)
    }
}

/// The marks of a finished image. All offsets are in bytes from its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Bytes of code.
    pub code_len: u16,
    /// From here on `rbp` is the frame pointer (`ksym.fp_start`).
    pub fp_start: u16,
    /// From here on it is not any more (`ksym.fp_end`).
    pub fp_end: u16,
    /// Number of skip records, one for each program call.
    pub nr_skips: u16,
}

impl Marks {
    /// Bytes to allocate for it, what the C builder returns.
    pub const fn size(&self) -> u16 {
        self.code_len.saturating_add(SAFETY)
    }
}

/// Where to patch a program out of an image that tasks may still be in
/// (`struct bpf_tramp_skip`). Both offsets are in bytes from the image's first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skip {
    /// Address of the program's `struct bpf_prog`.
    pub prog: u64,
    /// The 5-byte nop before its call sequence.
    pub nop: u16,
    /// The first instruction behind it.
    pub target: u16,
}

/// Takes the skip records of an image, or counts them.
pub(super) struct Skips<'a> {
    out: Option<&'a mut [Skip]>,
    len: u16,
}

impl<'a> Skips<'a> {
    /// Records into `out`.
    pub(super) fn over(out: &'a mut [Skip]) -> Self {
        Self {
            out: Some(out),
            len: 0,
        }
    }

    /// Records nothing and counts.
    pub(super) const fn counting() -> Self {
        Self { out: None, len: 0 }
    }

    /// How many there were.
    pub(super) const fn len(&self) -> u16 {
        self.len
    }

    /// Takes the next one; [`Error::TooBig`] where there is no room for it.
    pub(super) fn push(&mut self, skip: Skip) -> Result {
        if let Some(out) = &mut self.out {
            *out.get_mut(usize::from(self.len)).ok_or(Error::TooBig)? = skip;
        }
        self.len = self.len.checked_add(1).ok_or(Error::TooBig)?;
        Ok(())
    }
}
