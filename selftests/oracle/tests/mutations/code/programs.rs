// SPDX-License-Identifier: GPL-2.0

//! Mutations of how programs are called.

use super::{CodeMutation, KEEP_RESULT};
use crate::bases::Base::*;
use oracle::contract::Rule;

/// How programs are called.
pub const PROGRAMS: &[CodeMutation] = &[
    ("BPF cookie not stored", Sessions, Rule::BpfCookie, |code| {
        code.drop(code.nth("mov [rbp-50h],rdi", 3));
    }),
    (
        "BPF cookie beside its place",
        Sessions,
        Rule::BpfCookie,
        |code| {
            code.displace(code.first("mov [rbp-50h],rdi"), 8);
        },
    ),
    (
        "BPF cookie of another program",
        Sessions,
        Rule::BpfCookie,
        |code| {
            code.change(code.first("mov edi,3333h"), 0x1111);
        },
    ),
    (
        "half of the BPF cookie stored",
        LargeFrame,
        Rule::BpfCookie,
        |code| {
            code.of(code.first("mov [rbp-0B8h],rdi"))[0] = 0x40;
        },
    ),
    (
        "run context reaches into the saved rbx",
        Sessions,
        Rule::CalleeSaved,
        |code| {
            code.displace(code.first("lea rsi,[rbp-50h]"), 8);
            code.displace(code.first("mov [rbp-50h],rdi"), 8);
            code.displace(code.first("lea rdx,[rbp-50h]"), 8);
        },
    ),
    (
        "another run context for the exit helper",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.displace(code.first("lea rdx,[rbp-50h]"), 8);
        },
    ),
    (
        "run context not handed to the enter helper",
        Sessions,
        Rule::RunContext,
        |code| {
            code.drop(code.first("lea rsi,[rbp-50h]"));
        },
    ),
    (
        "run context not handed to the exit helper",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.drop(code.last("lea rdx,[rbp-50h]"));
        },
    ),
    (
        "program not handed to the enter helper",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.drop(code.nth("mov rdi,0FFFFC9*", 2));
        },
    ),
    (
        "program not handed to the exit helper",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.drop(code.nth("mov rdi,0FFFFC9*", 3));
        },
    ),
    (
        "half of a program's address",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.of(code.first("mov rdi,0FFFFC9*"))[6..].fill(0);
        },
    ),
    (
        "start time not kept",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.drop(code.nth("mov rbx,rax", 1));
        },
    ),
    (
        "start time not handed to the exit helper",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.drop(code.nth("mov rsi,rbx", 1));
        },
    ),
    (
        "half of the start time handed on",
        Sessions,
        Rule::HelperArguments,
        |code| {
            code.of(code.last("mov rsi,rbx"))[0] = 0x40;
        },
    ),
    (
        "enter helper's answer not tested",
        Sessions,
        Rule::Order,
        |code| {
            code.drop(code.nth("je short *", 2));
        },
    ),
    (
        "enter helper's answer inverted",
        Sessions,
        Rule::Order,
        |code| {
            code.of(code.nth("je short *", 1))[0] ^= 1;
        },
    ),
    (
        "half of the enter helper's answer tested",
        Sessions,
        Rule::Order,
        |code| {
            code.of(code.nth("test rax,rax", 1))[0] = 0x40;
        },
    ),
    (
        "sign of the enter helper's answer tested",
        Sessions,
        Rule::Order,
        |code| {
            code.of(code.nth("je short *", 1))[0] = 0x7e;
        },
    ),
    (
        "exit helper not called where a program was refused",
        Sessions,
        Rule::Order,
        |code| {
            let jump = code.nth("je short *", 1);
            let behind = code.after(code.after(jump, "lea rdx,*"), "nop *");
            code.lead(jump, behind);
        },
    ),
    (
        "exit helper called without its first argument",
        Sessions,
        Rule::HelperArguments,
        |code| {
            let jump = code.nth("je short *", 1);
            code.lead(jump, code.after(jump, "mov rsi,rbx"));
        },
    ),
    (
        "enter helper called again after it returned 0",
        Sessions,
        Rule::Order,
        |code| {
            let jump = code.nth("je short *", 1);
            let call = code.before(jump, "call *");
            code.lead(jump, call);
        },
    ),
    ("program not called", Sessions, Rule::Order, |code| {
        code.drop(code.after(code.nth("lea rdi,[rbp-18h]", 2), "call *"));
    }),
    ("another program called", Sessions, Rule::Order, |code| {
        code.change(code.after(code.nth("lea rdi,[rbp-18h]", 2), "call *"), 0x10);
    }),
    ("another enter helper", Sessions, Rule::Order, |code| {
        code.change(code.after(code.first("lea rsi,[rbp-50h]"), "call *"), 0x10);
    }),
    ("another exit helper", Sessions, Rule::Order, |code| {
        code.change(code.after(code.last("lea rdx,[rbp-50h]"), "call *"), 0x10);
    }),
    (
        "fmod_ret program's result not kept",
        ModifyReturn,
        Rule::Order,
        |code| {
            code.drop(code.nth(KEEP_RESULT, 1));
        },
    ),
    (
        "fmod_ret program's result not tested",
        ModifyReturn,
        Rule::Order,
        |code| {
            code.drop(code.first("jne *"));
        },
    ),
    (
        "fmod_ret program's result inverted",
        ModifyReturn,
        Rule::Order,
        |code| {
            code.of(code.first("jne *"))[1] ^= 1;
        },
    ),
    (
        "half of an fmod_ret program's result tested",
        ModifyReturn,
        Rule::Order,
        |code| {
            code.of(code.last("cmp qword ptr [rbp-8],0"))[0] = 0x40;
        },
    ),
    (
        "replaced function called all the same",
        ModifyReturn,
        Rule::Order,
        |code| {
            let jump = code.last("jne *");
            code.lead(jump, code.after(jump, "mov rdi,[rbp-28h]"));
        },
    ),
    (
        "replaced function's exit program left out",
        ModifyReturn,
        Rule::Order,
        |code| {
            let behind = code.last("mov rdi,0FFFF888*");
            code.lead(code.first("jne *"), behind);
        },
    ),
];
