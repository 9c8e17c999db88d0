// SPDX-License-Identifier: GPL-2.0

//! A case: a function, flags and programs.

use std::fmt;

use uapi::abi::{self, CaseProg};
use uapi::device::flag_names;

/// What is to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub flags: u32,
    pub endbr: bool,
    pub args: Vec<Arg>,
    pub progs: Vec<CaseProg>,
}

/// An argument of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// In bytes.
    pub size: u8,
    /// Where it points.
    pub pointer: Pointer,
}

/// What the model says of an argument that may be a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// Nothing.
    Plain,
    /// Into the arena of the program.
    Arena,
    /// Into the arena, or nowhere.
    ArenaOrNull,
}

impl Pointer {
    /// `BTF_FMODEL_*`
    fn flags(self) -> u8 {
        const ARENA_ARG: u8 = 1 << 2;
        const NULLABLE_ARG: u8 = 1 << 3;
        match self {
            Self::Plain => 0,
            Self::Arena => ARENA_ARG,
            Self::ArenaOrNull => ARENA_ARG | NULLABLE_ARG,
        }
    }
}

impl Arg {
    pub(super) fn plain(size: u8) -> Self {
        Self {
            size,
            pointer: Pointer::Plain,
        }
    }
}

impl Spec {
    /// The case as the kernel takes it. It refers to the programs of `self`.
    pub fn to_abi(&self) -> abi::Case {
        let mut case = abi::Case {
            progs: self.progs.as_ptr() as u64,
            nr_progs: self.progs.len() as u32,
            flags: self.flags,
            endbr: self.endbr.into(),
            nr_args: self.args.len() as u32,
            arena_prog_fd: -1,
            ..Default::default()
        };
        for (at, arg) in self.args.iter().enumerate() {
            case.arg_size[at] = arg.size;
            case.arg_flags[at] = arg.pointer.flags();
        }
        case
    }

    /// What of it not every kernel has.
    pub(super) fn rarity(&self) -> &'static str {
        if self.has_arena_args() {
            "this kernel does not convert arena arguments"
        } else if self.progs.iter().any(|prog| prog.entry != 0) {
            "the kernel would read the code of programs (call depth)"
        } else if self.endbr {
            "this kernel has no ENDBR"
        } else {
            "this kernel does not have it"
        }
    }

    /// Whether an argument points into an arena.
    pub fn has_arena_args(&self) -> bool {
        self.args.iter().any(|arg| arg.pointer != Pointer::Plain)
    }

    /// Whether each builder measures what it builds. Where a program is at the end of what a call
    /// reaches, C may measure at a place from which it is out of reach.
    pub(super) fn sizes_agree(&self, case: &abi::Case) -> bool {
        case.rust_size == case.rust_ret
            && (case.c_size == case.c_ret || self.progs.iter().any(|prog| prog.entry != 0))
    }

    /// Adds a session: an entry program and an exit program.
    pub(super) fn push_session(&mut self, bpf_cookie: u64, traits: u32) {
        for list in [abi::LIST_FENTRY, abi::LIST_FEXIT] {
            self.progs.push(CaseProg {
                bpf_cookie,
                list,
                traits: traits | abi::PROG_SESSION,
                ..Default::default()
            });
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "flags     {}", flag_names(self.flags))?;
        writeln!(f, "endbr     {}", self.endbr)?;
        for Arg { size, pointer } in &self.args {
            writeln!(f, "argument  {size} bytes, {pointer:?}")?;
        }
        for prog in &self.progs {
            let list = match prog.list {
                abi::LIST_FENTRY => "fentry",
                abi::LIST_FEXIT => "fexit",
                _ => "fmod_ret",
            };
            write!(f, "{list:9} traits {:#04x}", prog.traits)?;
            writeln!(f, " cookie {:#x} entry {:#x}", prog.bpf_cookie, prog.entry)?;
        }
        Ok(())
    }
}
