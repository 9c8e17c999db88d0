// SPDX-License-Identifier: GPL-2.0

//! Quirks of the C builder with a correct alternative.

use super::disasm::decode;
use super::fixture::{program, Case, IP};
use crate::builder::Flags;
use iced_x86::Mnemonic;

/// Displacements of the loads of stack arguments.
fn stack_loads(case: &Case) -> Vec<u64> {
    let code = case.build().unwrap().code;
    decode(&code, IP)
        .iter()
        .filter(|insn| insn.mnemonic() == Mnemonic::Mov)
        .map(|insn| insn.memory_displacement64())
        .filter(|disp| (1..1000).contains(disp))
        .collect()
}

/// Stack arguments of an indirect image are above one return address; C of 7.2 assumes two.
#[test]
fn indirect_args_too_high() {
    let mut case = Case::new(&[8; 8], Flags::INDIRECT);
    assert_eq!(stack_loads(&case), [16, 24]);
    case.machine.quirks.indirect_args_too_high = true;
    assert_eq!(stack_loads(&case), [24, 32]);
}

/// Address modulo 16 of the code after the fmod_ret programs.
fn exit_misalignment(case: &Case, ip: u64) -> u64 {
    let code = case.build_at(ip).unwrap().code;
    let insns = decode(&code, ip);
    let jump = insns.iter().find(|insn| insn.mnemonic() == Mnemonic::Jne);
    jump.unwrap().near_branch_target() % 16
}

/// C aligns the exit programs in its scratch buffer.
#[test]
fn aligned_in_scratch() {
    let mut case = Case::new(&[8], Flags::CALL_ORIG);
    case.fmod_ret.push(program(0));
    case.scratch_align = 8;
    assert_eq!(exit_misalignment(&case, IP), 8);
    case.machine.quirks.aligned_in_scratch = false;
    assert_eq!(exit_misalignment(&case, IP), 0);
    assert_eq!(exit_misalignment(&case, IP + 4), 0);
}
