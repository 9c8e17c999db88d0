// SPDX-License-Identifier: GPL-2.0

//! Mutations that affect the function and its caller.

use super::{CodeMutation, KEEP_RESULT};
use crate::bases::Base::*;
use oracle::contract::Rule;

/// The function and its caller.
pub const FUNCTION: &[CodeMutation] = &[
    (
        "argument not restored for the function",
        ModifyReturn,
        Rule::RegisterArguments,
        |code| {
            code.drop(code.first("mov rdx,[rbp-18h]"));
        },
    ),
    (
        "argument restored from its neighbour",
        ModifyReturn,
        Rule::RegisterArguments,
        |code| {
            code.displace(code.first("mov rcx,[rbp-10h]"), -8);
        },
    ),
    (
        "argument restored to another register",
        ModifyReturn,
        Rule::RegisterArguments,
        |code| {
            code.of(code.first("mov rsi,[rbp-20h]"))[2] ^= 0x08;
        },
    ),
    (
        "argument not restored for the function that goes on",
        Entry,
        Rule::RegisterArguments,
        |code| {
            code.drop(code.first("mov r9,[rbp-8]"));
        },
    ),
    (
        "upper register lost its prefix",
        Entry,
        Rule::RegisterArguments,
        |code| {
            code.of(code.first("mov r8,[rbp-10h]"))[0] = 0x48;
        },
    ),
    (
        "stack argument not passed",
        StackArguments,
        Rule::StackArguments,
        |code| {
            code.drop(code.first("mov [rbp-88h],rax"));
        },
    ),
    (
        "stack argument read one word off",
        StackArguments,
        Rule::StackArguments,
        |code| {
            code.displace(code.last("mov rax,[rbp+20h]"), -8);
        },
    ),
    (
        "stack arguments passed one word too high",
        StackArguments,
        Rule::StackArguments,
        |code| {
            for pattern in [
                "mov [rbp-90h],rax",
                "mov [rbp-88h],rax",
                "mov [rbp-80h],rax",
            ] {
                code.displace(code.first(pattern), 8);
            }
        },
    ),
    (
        "stack argument over a saved one",
        StackArguments,
        Rule::ContextArguments,
        |code| {
            code.displace(code.first("mov [rbp-80h],rax"), 0x30);
        },
    ),
    (
        "caller's stack arguments overwritten",
        StackArguments,
        Rule::CallerMemory,
        |code| {
            // mov [rbp+20h], rax
            code.of(code.first("mov rax,[rbp+20h]"))[1] = 0x89;
        },
    ),
    (
        "wrong half of a passed word cleared",
        HalfWord,
        Rule::StackArguments,
        |code| {
            code.displace(code.first("mov dword ptr [rbp-64h],0"), -4);
        },
    ),
    (
        "stack misaligned at the function",
        StackArguments,
        Rule::Alignment,
        |code| {
            code.change(code.first("sub rsp,90h"), 8);
        },
    ),
    (
        "stack misaligned by a byte",
        ModifyReturn,
        Rule::Alignment,
        |code| {
            code.change(code.first("sub rsp,48h"), 1);
        },
    ),
    (
        "frame too small by the run context",
        ModifyReturn,
        Rule::RunContext,
        |code| {
            code.change(code.first("sub rsp,48h"), -0x10);
        },
    ),
    ("no frame at all", ModifyReturn, Rule::RunContext, |code| {
        code.drop(code.first("sub rsp,48h"));
    }),
    (
        "frame pointer not set",
        ModifyReturn,
        Rule::Returns,
        |code| {
            code.drop(code.first("mov rbp,rsp"));
        },
    ),
    (
        "frame not taken down",
        ModifyReturn,
        Rule::Returns,
        |code| {
            code.drop(code.first("leave"));
        },
    ),
    ("frame not skipped", ModifyReturn, Rule::Order, |code| {
        code.drop(code.first("add rsp,8"));
    }),
    ("frame skipped twice", ModifyReturn, Rule::Returns, |code| {
        code.change(code.first("add rsp,8"), 8);
    }),
    ("rbx not saved", ModifyReturn, Rule::CalleeSaved, |code| {
        code.drop(code.first("mov [rbp-38h],rbx"));
    }),
    (
        "rbx not restored",
        ModifyReturn,
        Rule::CalleeSaved,
        |code| {
            code.drop(code.first("mov rbx,[rbp-38h]"));
        },
    ),
    (
        "rbx restored from its neighbour",
        LargeFrame,
        Rule::CalleeSaved,
        |code| {
            code.displace(code.first("mov rbx,[rbp-80h]"), 8);
        },
    ),
    (
        "rbx not restored for the function that goes on",
        Entry,
        Rule::CalleeSaved,
        |code| {
            code.drop(code.first("mov rbx,[rbp-40h]"));
        },
    ),
    (
        "another register used in place of rbx",
        ModifyReturn,
        Rule::CalleeSaved,
        |code| {
            // mov r15, rax
            let at = code.first("mov rbx,rax");
            code.put(at, &[0x49, 0x89, 0xc7]);
        },
    ),
    (
        "return value not handed back",
        ModifyReturn,
        Rule::ReturnValue,
        |code| {
            code.drop(code.last("mov rax,[rbp-8]"));
        },
    ),
    (
        "program's result not handed back",
        StructOps,
        Rule::ReturnValue,
        |code| {
            code.drop(code.first(KEEP_RESULT));
        },
    ),
    (
        "image not handed to __bpf_tramp_enter",
        ModifyReturn,
        Rule::HelperArguments,
        |code| {
            code.drop(code.first("mov rdi,0FFFF888*"));
        },
    ),
    (
        "image not handed to __bpf_tramp_exit",
        ModifyReturn,
        Rule::HelperArguments,
        |code| {
            code.drop(code.last("mov rdi,0FFFF888*"));
        },
    ),
    (
        "__bpf_tramp_enter not called",
        ModifyReturn,
        Rule::Order,
        |code| {
            code.drop(code.first("call *"));
        },
    ),
    (
        "__bpf_tramp_exit not called",
        ModifyReturn,
        Rule::Order,
        |code| {
            code.drop(code.last("call *"));
        },
    ),
    ("function not called", ModifyReturn, Rule::Order, |code| {
        code.drop(code.after(code.first("mov rcx,[rbp-10h]"), "call *"));
    }),
    (
        "function called at its entry",
        ModifyReturn,
        Rule::Order,
        |code| {
            code.change(code.after(code.first("mov rcx,[rbp-10h]"), "call *"), -9);
        },
    ),
    (
        "tail call context not restored",
        TailCall,
        Rule::TailCallContext,
        |code| {
            code.drop(code.first("mov rax,[rbp-38h]"));
        },
    ),
    (
        "tail call context from elsewhere",
        TailCall,
        Rule::TailCallContext,
        |code| {
            code.displace(code.first("mov rax,[rbp-38h]"), 8);
        },
    ),
    (
        "tail call context lost before the function goes on",
        Entry,
        Rule::TailCallContext,
        |code| {
            code.drop(code.first("mov rax,[rbp-58h]"));
        },
    ),
    (
        "caller's memory overwritten at the end",
        ModifyReturn,
        Rule::CallerMemory,
        |code| {
            // mov [rbp+18h], rbx: above the return addresses
            let at = code.first("mov rbx,[rbp-38h]");
            code.of(at)[1] = 0x89;
            code.displace(at, 0x38 + 0x18);
        },
    ),
    (
        "live patch called one word off",
        LivePatch,
        Rule::Returns,
        |code| {
            code.displace(code.first("mov rbx,[rbp+8]"), -8);
        },
    ),
];
