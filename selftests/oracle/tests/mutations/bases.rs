// SPDX-License-Identifier: GPL-2.0

//! Correct images that are mutated. Together they contain everything that a builder can get wrong.

use oracle::case::{flags, Arg, Case, Machine, Preamble, Prog, ARENA, NULLABLE};
use oracle::cases::{blank, PLAIN};
use oracle::memory::stub;

/// A correct image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    /// Two sessions with a cookie and one without, beside an fentry and an fexit program, with the
    /// function's address; arguments in registers.
    Sessions,
    /// fmod_ret programs before an exit program; the function's frame is skipped.
    ModifyReturn,
    /// Entry programs only, with a tail call context; the image returns into the function.
    Entry,
    /// Arguments on the stack, one of them a structure that does not fit the remaining registers.
    StackArguments,
    /// Half a word on the stack.
    HalfWord,
    /// struct_ops, with arena arguments.
    StructOps,
    /// A kCFI preamble.
    Kcfi,
    /// A FineIBT preamble.
    FineIbt,
    /// Call-depth tracking and a return thunk.
    CallDepth,
    /// Tail call context, and the image calls the function.
    TailCall,
    /// A live patch replaces the function.
    LivePatch,
    /// A frame of more than 128 bytes.
    LargeFrame,
}

impl Base {
    pub const ALL: [Self; 12] = [
        Self::Sessions,
        Self::ModifyReturn,
        Self::Entry,
        Self::StackArguments,
        Self::HalfWord,
        Self::StructOps,
        Self::Kcfi,
        Self::FineIbt,
        Self::CallDepth,
        Self::TailCall,
        Self::LivePatch,
        Self::LargeFrame,
    ];

    pub fn case(self) -> Case {
        let machine = Machine { sls: true, ..PLAIN };
        let called = flags::CALL_ORIG | flags::SKIP_FRAME;
        match self {
            Self::Sessions => Case {
                fentry: vec![
                    session(0, true),
                    prog(1),
                    session(2, false),
                    session(3, true),
                ],
                fexit: vec![
                    session(0, true),
                    session(2, false),
                    prog(4),
                    session(3, true),
                ],
                ..blank(&[8, 4], flags::CALL_ORIG | flags::IP_ARG, machine)
            },
            Self::ModifyReturn => Case {
                fmod_ret: vec![prog(0), prog(1)],
                fexit: vec![prog(2)],
                ..blank(&[8, 16, 8], called, machine)
            },
            Self::Entry => Case {
                fentry: vec![interpreted(0), prog(1)],
                endbr: false,
                ..blank(&[8; 6], flags::RESTORE_REGS | flags::TAIL_CALL_CTX, machine)
            },
            Self::StackArguments => Case {
                fexit: vec![prog(0)],
                ..blank(&[8, 8, 8, 8, 8, 16, 8, 8], flags::CALL_ORIG, machine)
            },
            Self::HalfWord => Case {
                fexit: vec![prog(0)],
                ..blank(&[8, 8, 8, 8, 8, 8, 4], called, machine)
            },
            Self::StructOps => Case {
                fentry: vec![prog(0)],
                args: [8, 8, 16, 8, 8, 8]
                    .map(|size| Arg { size, flags: 0 })
                    .into_iter()
                    .zip([0, ARENA, 0, ARENA | NULLABLE, 0, ARENA])
                    .map(|(arg, flags)| Arg { flags, ..arg })
                    .collect(),
                arena: Some(0x1234_5678_9abc_d000),
                ..blank(&[], flags::INDIRECT | flags::RET_FENTRY_RET, machine)
            },
            Self::Kcfi => Case {
                fentry: vec![prog(0)],
                preamble: Preamble::Kcfi {
                    hash: 0x1234_5678,
                    padding: 11,
                    endbr: true,
                },
                ..blank(&[8], flags::INDIRECT, machine)
            },
            Self::FineIbt => Case {
                fentry: vec![prog(0)],
                preamble: Preamble::FineIbt {
                    hash: 0x1234_5678,
                    bhi: false,
                },
                ..blank(&[8], flags::INDIRECT, machine)
            },
            Self::CallDepth => Case {
                fentry: vec![prog(0)],
                fexit: vec![prog(1)],
                machine: Machine {
                    return_thunk: true,
                    call_depth: true,
                    call_count: true,
                    counted: 1 << stub::TRAMP_EXIT,
                    ..machine
                },
                ..blank(&[8], flags::CALL_ORIG, machine)
            },
            Self::TailCall => Case {
                fexit: vec![prog(0)],
                ..blank(&[8], called | flags::TAIL_CALL_CTX, machine)
            },
            Self::LivePatch => Case {
                fexit: vec![prog(0)],
                ..blank(&[8, 8], called | flags::ORIG_STACK, machine)
            },
            Self::LargeFrame => Case {
                fentry: vec![session(0, true)],
                fexit: vec![session(0, true)],
                machine: Machine {
                    run_ctx_size: 96,
                    bpf_cookie_off: 40,
                    ..machine
                },
                ..blank(&[8; 12], called, machine)
            },
        }
    }
}

fn prog(number: u64) -> Prog {
    Prog {
        addr: 0xffff_c900_0020_0000 + number * 0x1000,
        code: number as usize,
        insnsi: None,
        pair: number as usize % 3,
        bpf_cookie: 0x1111 * (number + 1),
        session: false,
        session_cookie: false,
    }
}

fn interpreted(number: u64) -> Prog {
    Prog {
        insnsi: Some(0xffff_c900_0020_0048 + number * 0x1000),
        ..prog(number)
    }
}

fn session(number: u64, session_cookie: bool) -> Prog {
    Prog {
        session: true,
        session_cookie,
        ..prog(number)
    }
}
