// SPDX-License-Identifier: GPL-2.0

//! Mutations of the request.

use crate::bases::Base::{self, *};
use builder::{Flags, FuncModel};
use oracle::contract::Rule;
use oracle::rust::OwnedRequest;

/// A mutation of the request: name, base image, the rule that it breaks, change.
pub type RequestMutation = (&'static str, Base, Rule, fn(&mut OwnedRequest));

fn without(request: &mut OwnedRequest, flag: Flags) {
    request.flags = Flags::from_bits(request.flags.bits() & !flag.bits()).unwrap();
}

fn model(request: &mut OwnedRequest, sizes: &[u8]) {
    request.target.model = FuncModel::new(sizes, &vec![0; sizes.len()]).unwrap();
}

pub const REQUESTS: &[RequestMutation] = &[
    (
        "entry program left out",
        Sessions,
        Rule::SkipRecords,
        |request| {
            request.fentry.remove(1);
        },
    ),
    (
        "entry programs swapped",
        Sessions,
        Rule::SkipRecords,
        |request| {
            request.fentry.swap(0, 1);
        },
    ),
    ("two codes swapped", Sessions, Rule::Order, |request| {
        let (first, second) = (request.fentry[0].entry, request.fentry[1].entry);
        (request.fentry[0].entry, request.fentry[1].entry) = (second, first);
    }),
    (
        "exit program run at entry",
        StackArguments,
        Rule::Order,
        |request| {
            request.fentry.append(&mut request.fexit);
        },
    ),
    (
        "result of an entry program kept",
        Sessions,
        Rule::ContextReturnValue,
        |request| {
            request.flags = request.flags | Flags::RET_FENTRY_RET;
        },
    ),
    (
        "fmod_ret program run as exit program",
        ModifyReturn,
        Rule::SkipRecords,
        |request| {
            let program = request.fmod_ret.remove(0);
            request.fexit.push(program);
        },
    ),
    (
        "session taken for two programs",
        Sessions,
        Rule::ContextReturnValue,
        |request| {
            let programs = request.fentry.iter_mut().chain(&mut request.fexit);
            programs.for_each(|program| program.session = false);
        },
    ),
    (
        "session cookie overlooked",
        Sessions,
        Rule::SessionCookie,
        |request| {
            request.fentry[0].session_cookie = false;
            request.fexit[0].session_cookie = false;
        },
    ),
    (
        "session cookie overlooked at return",
        LargeFrame,
        Rule::SessionCookie,
        |request| {
            request.fexit[0].session_cookie = false;
        },
    ),
    (
        "interpreted program taken for a jited one",
        Entry,
        Rule::HelperArguments,
        |request| {
            request.fentry[0].insnsi = None;
        },
    ),
    (
        "arguments not restored",
        Entry,
        Rule::RegisterArguments,
        |request| {
            without(request, Flags::RESTORE_REGS);
        },
    ),
    (
        "function called that should go on",
        Entry,
        Rule::Order,
        |request| {
            request.flags = request.flags | Flags::CALL_ORIG;
        },
    ),
    (
        "function's address not kept",
        Sessions,
        Rule::FunctionIp,
        |request| {
            without(request, Flags::IP_ARG);
        },
    ),
    (
        "function's frame not skipped",
        ModifyReturn,
        Rule::Order,
        |request| {
            request.machine.jmp = false;
            without(request, Flags::SKIP_FRAME);
        },
    ),
    (
        "caller's frame skipped",
        Sessions,
        Rule::Returns,
        |request| {
            request.flags = request.flags | Flags::SKIP_FRAME;
        },
    ),
    ("live patch overlooked", LivePatch, Rule::Order, |request| {
        without(request, Flags::ORIG_STACK);
    }),
    (
        "tail call context overlooked",
        TailCall,
        Rule::TailCallContext,
        |request| {
            without(request, Flags::TAIL_CALL_CTX);
        },
    ),
    (
        "return value of struct_ops overlooked",
        StructOps,
        Rule::ReturnValue,
        |request| {
            without(request, Flags::RET_FENTRY_RET);
        },
    ),
    (
        "indirect image taken for a traced function's",
        StructOps,
        Rule::Preamble,
        |request| {
            without(request, Flags::INDIRECT);
        },
    ),
    (
        "one argument overlooked",
        ModifyReturn,
        Rule::Metadata,
        |request| {
            model(request, &[8, 16]);
        },
    ),
    (
        "structure taken for a pointer",
        ModifyReturn,
        Rule::ContextArguments,
        |request| {
            model(request, &[8, 8, 8]);
        },
    ),
    (
        "structure split between registers and stack",
        StackArguments,
        Rule::ContextArguments,
        |request| {
            model(request, &[8, 8, 8, 8, 8, 8, 8, 8, 8]);
        },
    ),
    (
        "registers not used behind a structure",
        StackArguments,
        Rule::ContextArguments,
        |request| {
            model(request, &[8, 8, 8, 8, 8, 16, 16]);
        },
    ),
    (
        "half a word taken for a word",
        HalfWord,
        Rule::ContextArguments,
        |request| {
            model(request, &[8; 7]);
        },
    ),
    (
        "arena overlooked",
        StructOps,
        Rule::ContextArguments,
        |request| {
            request.arena_base = None;
        },
    ),
    (
        "another arena",
        StructOps,
        Rule::ContextArguments,
        |request| {
            request.arena_base = request.arena_base.map(|base| base + 0x1000);
        },
    ),
    (
        "endbr64 of the function overlooked",
        ModifyReturn,
        Rule::Returns,
        |request| {
            request.target.endbr = false;
        },
    ),
    (
        "call taken for a jump",
        StackArguments,
        Rule::ContextArguments,
        |request| {
            request.machine.jmp = false;
        },
    ),
    (
        "run context too small",
        LargeFrame,
        Rule::ContextArguments,
        |request| {
            request.machine.run_ctx_size = 48;
        },
    ),
    (
        "BPF cookie elsewhere in the run context",
        LargeFrame,
        Rule::BpfCookie,
        |request| {
            request.machine.bpf_cookie_off = 48;
        },
    ),
    (
        "call-depth tracking overlooked",
        CallDepth,
        Rule::CallDepth,
        |request| {
            request.machine.call_depth = None;
        },
    ),
    (
        "thunk that counts overlooked",
        CallDepth,
        Rule::CallDepth,
        |request| {
            request.machine.tramp_exit.counted = false;
        },
    ),
    (
        "return thunk overlooked",
        CallDepth,
        Rule::Order,
        |request| {
            request.machine.return_thunk = None;
        },
    ),
    (
        "straight-line speculation overlooked",
        ModifyReturn,
        Rule::StraightLine,
        |request| {
            request.machine.sls = false;
        },
    ),
];
