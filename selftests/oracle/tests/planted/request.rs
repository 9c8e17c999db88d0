// SPDX-License-Identifier: GPL-2.0

//! Faults in what the builder is told.

use crate::subjects::Subject::{self, *};
use builder::{Flags, FuncModel};
use oracle::contract::Rule;
use oracle::rust::Asked;

/// A builder that misunderstands what it is asked for.
pub type AskedFault = (&'static str, Subject, Rule, fn(&mut Asked));

fn without(asked: &mut Asked, flag: Flags) {
    asked.flags = Flags::from_bits(asked.flags.bits() & !flag.bits()).unwrap();
}

fn model(asked: &mut Asked, sizes: &[u8]) {
    asked.target.model = FuncModel::new(sizes, &vec![0; sizes.len()]).unwrap();
}

pub const ASKED: &[AskedFault] = &[
    (
        "entry program left out",
        Sessions,
        Rule::SkipRecords,
        |asked| {
            asked.fentry.remove(1);
        },
    ),
    (
        "entry programs swapped",
        Sessions,
        Rule::SkipRecords,
        |asked| {
            asked.fentry.swap(0, 1);
        },
    ),
    ("two codes swapped", Sessions, Rule::Order, |asked| {
        let (first, second) = (asked.fentry[0].entry, asked.fentry[1].entry);
        (asked.fentry[0].entry, asked.fentry[1].entry) = (second, first);
    }),
    (
        "exit program run at entry",
        StackArguments,
        Rule::Order,
        |asked| {
            asked.fentry.append(&mut asked.fexit);
        },
    ),
    (
        "result of an entry program kept",
        Sessions,
        Rule::ContextReturnValue,
        |asked| {
            asked.flags = asked.flags | Flags::RET_FENTRY_RET;
        },
    ),
    (
        "fmod_ret program run as exit program",
        ModifyReturn,
        Rule::SkipRecords,
        |asked| {
            let program = asked.fmod_ret.remove(0);
            asked.fexit.push(program);
        },
    ),
    (
        "session taken for two programs",
        Sessions,
        Rule::ContextReturnValue,
        |asked| {
            let programs = asked.fentry.iter_mut().chain(&mut asked.fexit);
            programs.for_each(|program| program.session = false);
        },
    ),
    (
        "session cookie overlooked",
        Sessions,
        Rule::SessionCookie,
        |asked| {
            asked.fentry[0].session_cookie = false;
            asked.fexit[0].session_cookie = false;
        },
    ),
    (
        "session cookie overlooked at return",
        LargeFrame,
        Rule::SessionCookie,
        |asked| {
            asked.fexit[0].session_cookie = false;
        },
    ),
    (
        "interpreted program taken for a jited one",
        Entry,
        Rule::HelperArguments,
        |asked| {
            asked.fentry[0].insnsi = None;
        },
    ),
    (
        "arguments not restored",
        Entry,
        Rule::RegisterArguments,
        |asked| {
            without(asked, Flags::RESTORE_REGS);
        },
    ),
    (
        "function called that should go on",
        Entry,
        Rule::Order,
        |asked| {
            asked.flags = asked.flags | Flags::CALL_ORIG;
        },
    ),
    (
        "function's address not kept",
        Sessions,
        Rule::FunctionIp,
        |asked| {
            without(asked, Flags::IP_ARG);
        },
    ),
    (
        "function's frame not skipped",
        ModifyReturn,
        Rule::Order,
        |asked| {
            asked.machine.jmp = false;
            without(asked, Flags::SKIP_FRAME);
        },
    ),
    (
        "caller's frame skipped",
        Sessions,
        Rule::Survival,
        |asked| {
            asked.flags = asked.flags | Flags::SKIP_FRAME;
        },
    ),
    ("live patch overlooked", LivePatch, Rule::Order, |asked| {
        without(asked, Flags::ORIG_STACK);
    }),
    (
        "tail call context overlooked",
        TailCall,
        Rule::TailCallContext,
        |asked| {
            without(asked, Flags::TAIL_CALL_CTX);
        },
    ),
    (
        "return value of struct_ops overlooked",
        StructOps,
        Rule::ReturnValue,
        |asked| {
            without(asked, Flags::RET_FENTRY_RET);
        },
    ),
    (
        "indirect image taken for a traced function's",
        StructOps,
        Rule::Preamble,
        |asked| {
            without(asked, Flags::INDIRECT);
        },
    ),
    (
        "one argument overlooked",
        ModifyReturn,
        Rule::Metadata,
        |asked| {
            model(asked, &[8, 16]);
        },
    ),
    (
        "structure taken for a pointer",
        ModifyReturn,
        Rule::ContextArguments,
        |asked| {
            model(asked, &[8, 8, 8]);
        },
    ),
    (
        "structure split between registers and stack",
        StackArguments,
        Rule::ContextArguments,
        |asked| {
            model(asked, &[8, 8, 8, 8, 8, 8, 8, 8, 8]);
        },
    ),
    (
        "registers not used behind a structure",
        StackArguments,
        Rule::ContextArguments,
        |asked| {
            model(asked, &[8, 8, 8, 8, 8, 16, 16]);
        },
    ),
    (
        "half a word taken for a word",
        HalfWord,
        Rule::ContextArguments,
        |asked| {
            model(asked, &[8; 7]);
        },
    ),
    (
        "arena overlooked",
        StructOps,
        Rule::ContextArguments,
        |asked| {
            asked.arena_base = None;
        },
    ),
    (
        "another arena",
        StructOps,
        Rule::ContextArguments,
        |asked| {
            asked.arena_base = asked.arena_base.map(|base| base + 0x1000);
        },
    ),
    (
        "endbr64 of the function overlooked",
        ModifyReturn,
        Rule::Survival,
        |asked| {
            asked.target.endbr = false;
        },
    ),
    (
        "call taken for a jump",
        StackArguments,
        Rule::ContextArguments,
        |asked| {
            asked.machine.jmp = false;
        },
    ),
    (
        "run context too small",
        LargeFrame,
        Rule::ContextArguments,
        |asked| {
            asked.machine.run_ctx_size = 48;
        },
    ),
    (
        "BPF cookie elsewhere in the run context",
        LargeFrame,
        Rule::BpfCookie,
        |asked| {
            asked.machine.bpf_cookie_off = 48;
        },
    ),
    (
        "call-depth tracking overlooked",
        CallDepth,
        Rule::CallDepth,
        |asked| {
            asked.machine.call_depth = None;
        },
    ),
    (
        "thunk that counts overlooked",
        CallDepth,
        Rule::CallDepth,
        |asked| {
            asked.machine.tramp_exit.counted = false;
        },
    ),
    ("return thunk overlooked", CallDepth, Rule::Order, |asked| {
        asked.machine.return_thunk = None;
    }),
    (
        "straight-line speculation overlooked",
        ModifyReturn,
        Rule::StraightLine,
        |asked| {
            asked.machine.sls = false;
        },
    ),
];
