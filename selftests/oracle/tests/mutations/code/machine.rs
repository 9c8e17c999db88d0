// SPDX-License-Identifier: GPL-2.0

//! Mutations of mitigations, and code that does not return.

use super::CodeMutation;
use crate::bases::Base::*;
use oracle::contract::Rule;

/// Mitigations, and code that does not return.
pub const MACHINE: &[CodeMutation] = &[
    (
        "call not accounted for",
        CallDepth,
        Rule::CallDepth,
        |code| {
            code.drop(code.nth("sar *", 3));
        },
    ),
    ("call not counted", CallDepth, Rule::CallDepth, |code| {
        code.drop(code.nth("inc *", 3));
    }),
    (
        "entry not accounted for",
        CallDepth,
        Rule::CallDepth,
        |code| {
            code.drop(code.first("sar *"));
        },
    ),
    (
        "call accounted for too little",
        CallDepth,
        Rule::CallDepth,
        |code| {
            code.change(code.nth("sar *", 3), -1);
        },
    ),
    ("counter without gs", CallDepth, Rule::Returns, |code| {
        // cs instead of gs
        code.of(code.nth("sar *", 3))[0] = 0x2e;
    }),
    ("counter one word off", CallDepth, Rule::CallDepth, |code| {
        code.displace(code.nth("sar *", 2), 8);
    }),
    ("return thunk not used", CallDepth, Rule::Order, |code| {
        code.put(code.first("jmp *"), &[0xc3, 0xcc]);
    }),
    (
        "return thunk called, not jumped to",
        CallDepth,
        Rule::StackPointer,
        |code| {
            code.of(code.first("jmp *"))[0] = 0xe8;
        },
    ),
    (
        "no int3 behind ret",
        ModifyReturn,
        Rule::StraightLine,
        |code| {
            code.drop(code.first("int3"));
        },
    ),
    ("no endbr64", StructOps, Rule::Preamble, |code| {
        code.drop(code.first("endbr64"));
    }),
    ("endbr32", Kcfi, Rule::Preamble, |code| {
        code.of(code.first("endbr64"))[3] = 0xfb;
    }),
    ("wrong kCFI hash", Kcfi, Rule::Preamble, |code| {
        code.change(code.first("mov eax,12345678h"), 1);
    }),
    (
        "FineIBT hash not compared",
        FineIbt,
        Rule::Preamble,
        |code| {
            code.drop(code.first("*jne *"));
        },
    ),
    ("wrong FineIBT hash", FineIbt, Rule::Returns, |code| {
        code.change(code.first("sub eax,*"), 1);
    }),
    (
        "endbr64 behind the FineIBT check",
        FineIbt,
        Rule::Preamble,
        |code| {
            let poison = code.first("nop [rax-2Ah]");
            code.put(poison, &[0xf3, 0x0f, 0x1e, 0xfa]);
        },
    ),
    ("endless loop", ModifyReturn, Rule::Returns, |code| {
        code.put(code.first("leave") - 1, &[0xeb, 0xfe]);
    }),
    (
        "undefined instruction",
        ModifyReturn,
        Rule::Returns,
        |code| {
            code.put(code.last("mov [rbp-8],rax"), &[0x0f, 0x0b]);
        },
    ),
    ("system call", ModifyReturn, Rule::Returns, |code| {
        code.put(code.last("mov [rbp-8],rax"), &[0x0f, 0x05]);
    }),
    (
        "branch out of the image",
        ModifyReturn,
        Rule::Returns,
        |code| {
            code.change(code.first("jne *"), 0x800);
        },
    ),
];
