// SPDX-License-Identifier: GPL-2.0

//! Trampoline images as machine code: a look at their shape.

use anyhow::{bail, ensure, Context, Result};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};

use crate::device::{flag, Info};

fn decode(code: &[u8], addr: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, code, addr, DecoderOptions::NONE)
        .into_iter()
        .collect()
}

/// Checks that `code` begins, ends and calls its target as a trampoline does.
/// Whether it does the right thing in between is seen by running it.
pub fn check(code: &[u8], info: &Info) -> Result<()> {
    let instructions = decode(code, info.image_addr);
    if let Some(bad) = instructions.iter().find(|instr| instr.is_invalid()) {
        bail!("no instruction at offset {:#x}", bad.ip() - info.image_addr);
    }

    let before = |offset: u32| {
        let end = info.image_addr + u64::from(offset);
        instructions.iter().position(|instr| instr.next_ip() == end)
    };
    let start = before(info.fp_start).context("fp_start is inside of an instruction")?;
    let mov = &instructions[start];
    let push = start.checked_sub(1).map(|at| &instructions[at]);
    ensure!(
        push.is_some_and(
            |push| push.mnemonic() == Mnemonic::Push && push.op0_register() == Register::RBP
        ) && mov.mnemonic() == Mnemonic::Mov
            && (mov.op0_register(), mov.op1_register()) == (Register::RBP, Register::RSP),
        "no frame is set up before fp_start"
    );
    let end = before(info.fp_end).context("fp_end is inside of an instruction")?;
    ensure!(
        instructions[end].mnemonic() == Mnemonic::Leave,
        "no leave before fp_end"
    );

    // The return is a plain one or a jump to the return thunk, perhaps with an
    // int3 behind it against straight-line speculation.
    let last = instructions[end + 1..]
        .iter()
        .rfind(|instr| instr.mnemonic() != Mnemonic::Int3);
    ensure!(
        last.is_some_and(|instr| {
            matches!(
                instr.flow_control(),
                FlowControl::Return | FlowControl::UnconditionalBranch
            )
        }),
        "the image does not end with a return"
    );

    if info.flags & flag::CALL_ORIG != 0 {
        // Behind the nop that ftrace patches, and endbr64 where there is one.
        let body = [info.target_addr + 5, info.target_addr + 9];
        ensure!(
            instructions.iter().any(|instr| {
                instr.is_call_near() && body.contains(&instr.near_branch_target())
            }),
            "the traced function is not called"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `push %rbp; mov %rsp,%rbp; call target+5; leave; ret; int3`
    const CODE: [u8; 12] = [
        0x55, 0x48, 0x89, 0xe5, 0xe8, 0xfc, 0x0f, 0x00, 0x00, 0xc9, 0xc3, 0xcc,
    ];

    fn info() -> Info {
        Info {
            image_addr: 0x10000,
            target_addr: 0x11000,
            flags: flag::CALL_ORIG,
            fp_start: 4,
            fp_end: 10,
            ..Info::default()
        }
    }

    #[test]
    fn a_trampoline_passes() {
        check(&CODE, &info()).unwrap();
    }

    #[test]
    fn what_is_none_does_not() {
        for (at, byte) in [(0, 0x90), (3, 0xc0), (5, 0xfb), (9, 0x90), (10, 0x90)] {
            let mut code = CODE;
            code[at] = byte;
            assert!(check(&code, &info()).is_err(), "byte {at}");
        }
        let mut cut = info();
        cut.fp_end = 7;
        assert!(check(&CODE, &cut).is_err());
    }
}
