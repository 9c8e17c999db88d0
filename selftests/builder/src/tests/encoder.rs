// SPDX-License-Identifier: GPL-2.0

//! Checks every instruction form, with every register and every class of displacement and
//! immediate, against a disassembler.

mod control;
mod moves;
mod properties;

use super::disasm::{decode, text, Symbols};
use crate::builder::asm::{Asm, Gpr};
use crate::builder::writer::Writer;
use crate::builder::{CallDepth, Draft, Error};

/// Address of the code.
const IP: u64 = 0xffff_ffff_c000_0100;

const R64: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
const R32: [&str; 16] = [
    "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d",
    "r13d", "r14d", "r15d",
];

/// The bytes that `emit` emits.
fn assemble(
    call_depth: Option<CallDepth>,
    emit: impl FnOnce(&mut Asm<'_, [u8]>) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    let mut code = [0; 256];
    let mut draft = Draft::default();
    let mut asm = Asm::new(Writer::new(&mut code[..], IP), call_depth, &mut draft);
    emit(&mut asm)?;
    let len = asm.pos();
    Ok(code[..len.into()].to_vec())
}

/// Text of each instruction.
fn texts(code: &[u8]) -> Vec<String> {
    let insns = decode(code, IP);
    insns.iter().map(|i| text(i, &Symbols::new())).collect()
}

/// Checks that `emit` emits one instruction with this text, and returns its length.
#[track_caller]
fn one(expected: &str, emit: impl FnOnce(&mut Asm<'_, [u8]>) -> Result<(), Error>) -> usize {
    let code = assemble(None, emit).unwrap();
    assert_eq!(texts(&code), [expected], "{code:02x?}");
    code.len()
}

/// All registers with their 8-byte and 4-byte names.
fn registers() -> impl Iterator<Item = (Gpr, &'static str, &'static str)> {
    (0..16).map(|n| (Gpr::ALL[n], R64[n], R32[n]))
}

/// A number in the disassembler's format.
fn number(n: u64) -> String {
    if n < 10 {
        format!("{n}")
    } else {
        format!("{n:#x}")
    }
}

/// Size of a displacement or an immediate that has a one-byte form.
fn width(n: i32) -> usize {
    if i8::try_from(n).is_ok() {
        1
    } else {
        4
    }
}

/// Every method of the assembler has a test.
#[test]
fn no_form_is_left_out() {
    let assembler = concat!(
        include_str!("../../../../src/builder/asm.rs"),
        include_str!("../../../../src/builder/asm/flow.rs")
    );
    let tests = concat!(
        include_str!("encoder/moves.rs"),
        include_str!("encoder/control.rs")
    );
    let mut forms = 0;
    for line in assembler.lines() {
        let Some(declared) = line.strip_prefix("    pub(crate) fn ") else {
            continue;
        };
        let (name, _) = declared.split_once(['(', '<']).unwrap();
        assert!(tests.contains(&format!(".{name}(")), "{name} is not tested");
        forms += 1;
    }
    assert!(forms > 20, "the assembler is somewhere else");
}
