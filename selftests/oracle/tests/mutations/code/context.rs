// SPDX-License-Identifier: GPL-2.0

//! Mutations of what programs read.

use super::{CodeMutation, KEEP_RESULT};
use crate::bases::Base::*;
use oracle::contract::Rule;

/// What programs read.
pub const CONTEXT: &[CodeMutation] = &[
    (
        "session cookie not cleared",
        Sessions,
        Rule::SessionCookie,
        |code| {
            code.drop(code.first("mov [rbp-38h],rax"));
        },
    ),
    (
        "wrong word cleared for a session cookie",
        Sessions,
        Rule::SessionCookie,
        |code| {
            code.displace(code.first("mov [rbp-30h],rax"), -0x20);
        },
    ),
    (
        "cookie index one too high",
        Sessions,
        Rule::SessionCookie,
        |code| {
            code.change(code.first("mov eax,402h"), 0x100);
        },
    ),
    (
        "cookie index one too low",
        Sessions,
        Rule::SessionCookie,
        |code| {
            code.change(code.first("mov eax,302h"), -0x100);
        },
    ),
    (
        "cookie index of another session at return",
        Sessions,
        Rule::SessionCookie,
        |code| {
            code.change(code.first("mov rax,8000000000000402h"), -0x100);
        },
    ),
    (
        "session cookie over the function's address",
        Sessions,
        Rule::SessionCookie,
        |code| {
            code.change(code.first("mov eax,402h"), -0x200);
        },
    ),
    ("return flag missing", Sessions, Rule::Metadata, |code| {
        code.of(code.last("mov rax,8000000000000*"))[9] = 0;
    }),
    (
        "return flag a bit too low",
        Sessions,
        Rule::Metadata,
        |code| {
            code.of(code.last("mov rax,8000000000000*"))[9] = 0x40;
        },
    ),
    ("return flag at entry", Sessions, Rule::Metadata, |code| {
        // bts rax, 63
        code.put(code.first("mov eax,402h"), &[0x48, 0x0f, 0xba, 0xe8, 63]);
    }),
    (
        "metadata word of the return not stored",
        Sessions,
        Rule::Metadata,
        |code| {
            let at = code.first("mov rax,8000000000000402h");
            code.drop(at + 1);
            code.drop(at - 1);
        },
    ),
    (
        "one argument too many counted",
        ModifyReturn,
        Rule::Metadata,
        |code| {
            code.change(code.first("mov eax,4"), 1);
        },
    ),
    (
        "metadata word not stored",
        ModifyReturn,
        Rule::Metadata,
        |code| {
            code.drop(code.first("mov [rbp-30h],rax"));
        },
    ),
    (
        "function's address behind its entry",
        Sessions,
        Rule::FunctionIp,
        |code| {
            code.change(code.first("mov [rbp-28h],rax") - 1, 9);
        },
    ),
    (
        "function's address not stored",
        Sessions,
        Rule::FunctionIp,
        |code| {
            code.drop(code.first("mov [rbp-28h],rax"));
        },
    ),
    (
        "argument not saved",
        ModifyReturn,
        Rule::ContextArguments,
        |code| {
            code.drop(code.first("mov [rbp-18h],rdx"));
        },
    ),
    (
        "arguments saved one word too low",
        ModifyReturn,
        Rule::ContextArguments,
        |code| {
            code.displace(code.first("mov [rbp-28h],rdi"), -8);
        },
    ),
    (
        "argument of another register saved",
        ModifyReturn,
        Rule::ContextArguments,
        |code| {
            // mov [rbp-20h], rdi
            code.of(code.first("mov [rbp-20h],rsi"))[2] ^= 0x08;
        },
    ),
    (
        "half of an argument saved",
        ModifyReturn,
        Rule::ContextArguments,
        |code| {
            code.of(code.first("mov [rbp-10h],rcx"))[0] = 0x40;
        },
    ),
    (
        "stack argument read one word too high",
        StackArguments,
        Rule::ContextArguments,
        |code| {
            code.displace(code.first("mov rax,[rbp+10h]"), 8);
        },
    ),
    (
        "later register taken for a stack argument",
        StackArguments,
        Rule::ContextArguments,
        |code| {
            code.of(code.first("mov [rbp-18h],r9"))[2] ^= 0x08;
        },
    ),
    (
        "garbage above half a word kept",
        HalfWord,
        Rule::ContextArguments,
        |code| {
            code.drop(code.first("mov dword ptr [rbp-0Ch],0"));
        },
    ),
    (
        "wrong half of a word cleared",
        HalfWord,
        Rule::ContextArguments,
        |code| {
            code.displace(code.first("mov dword ptr [rbp-0Ch],0"), -4);
        },
    ),
    (
        "arena argument not converted",
        StructOps,
        Rule::ContextArguments,
        |code| {
            code.drop(code.first("sub eax,*"));
        },
    ),
    (
        "arena argument converted in all its bits",
        StructOps,
        Rule::ContextArguments,
        |code| {
            // The subtraction clears the upper half as well, so both go.
            let at = code.first("mov eax,esi");
            let sub = code.after(at, "sub eax,*");
            code.drop(sub);
            code.drop(at);
        },
    ),
    (
        "NULL of an arena converted",
        StructOps,
        Rule::ContextArguments,
        |code| {
            code.drop(code.first("je short *"));
        },
    ),
    (
        "half a pointer taken for NULL",
        StructOps,
        Rule::ContextArguments,
        |code| {
            code.of(code.first("test rax,rax"))[0] = 0x40;
        },
    ),
    (
        "return value not cleared for a session",
        Sessions,
        Rule::ContextReturnValue,
        |code| {
            code.drop(code.first(KEEP_RESULT));
        },
    ),
    (
        "return value not cleared for fmod_ret",
        ModifyReturn,
        Rule::ContextReturnValue,
        |code| {
            code.drop(code.first(KEEP_RESULT));
        },
    ),
    (
        "function's return value not kept",
        Sessions,
        Rule::ContextReturnValue,
        |code| {
            code.drop(code.last(KEEP_RESULT));
        },
    ),
    (
        "half of the return value kept",
        Sessions,
        Rule::ContextReturnValue,
        |code| {
            code.of(code.last(KEEP_RESULT))[0] = 0x40;
        },
    ),
    (
        "ctx one word too high",
        Sessions,
        Rule::ContextArguments,
        |code| {
            code.displace(code.first("lea rdi,[rbp-18h]"), 8);
        },
    ),
    (
        "ctx of an exit program one word too low",
        Sessions,
        Rule::ContextArguments,
        |code| {
            code.displace(code.last("lea rdi,[rbp-18h]"), -8);
        },
    ),
    (
        "ctx of the caller's frame",
        Sessions,
        Rule::ContextArguments,
        |code| {
            // mov rdi, [rbp-18h]
            code.of(code.first("lea rdi,[rbp-18h]"))[1] = 0x8b;
        },
    ),
    (
        "instructions not handed to the interpreter",
        Entry,
        Rule::HelperArguments,
        |code| {
            code.drop(code.first("mov rsi,0FFFFC9*48h"));
        },
    ),
];
