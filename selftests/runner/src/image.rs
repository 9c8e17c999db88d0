// SPDX-License-Identifier: GPL-2.0

//! Trampoline images as machine code: a look at their shape, and a listing.

use std::ops::Range;

use anyhow::{bail, ensure, Context, Result};
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction, Mnemonic, Register,
    SymbolResolver, SymbolResult,
};

use crate::device::Info;
use crate::kallsyms::Kallsyms;

/// `BPF_TRAMP_F_*`
pub mod flag {
    pub const RESTORE_REGS: u32 = 1 << 0;
    pub const CALL_ORIG: u32 = 1 << 1;
    pub const SKIP_FRAME: u32 = 1 << 2;
    pub const IP_ARG: u32 = 1 << 3;
    pub const RET_FENTRY_RET: u32 = 1 << 4;
    pub const ORIG_STACK: u32 = 1 << 5;
    pub const SHARE_IPMODIFY: u32 = 1 << 6;
    pub const TAIL_CALL_CTX: u32 = 1 << 7;
    pub const INDIRECT: u32 = 1 << 8;
}

fn decode(code: &[u8], addr: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, code, addr, DecoderOptions::NONE)
        .into_iter()
        .collect()
}

/// Lists the instructions of `code` around the one that byte `at` belongs to.
pub fn around(code: &[u8], at: usize, each_way: usize) -> Vec<String> {
    let instructions = decode(code, 0);
    let hit = instructions
        .iter()
        .rposition(|instr| instr.ip() <= at as u64)
        .unwrap_or(0);
    let mut formatter = GasFormatter::new();
    instructions
        .iter()
        .skip(hit.saturating_sub(each_way))
        .take(2 * each_way + 1)
        .map(|instr| {
            let mut text = String::new();
            formatter.format(instr, &mut text);
            format!("{:4x}: {text}", instr.ip())
        })
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

/// Names the targets of calls and jumps: the kernel's symbols, and places in the
/// image by their offset.
struct Names {
    symbols: Kallsyms,
    image: Range<u64>,
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _: u32,
        _: Option<u32>,
        address: u64,
        _: u32,
    ) -> Option<SymbolResult<'_>> {
        if address != instruction.near_branch_target() {
            return None;
        }
        let name = if self.image.contains(&address) {
            format!("{:x}", address - self.image.start)
        } else {
            self.symbols.name(address)?
        };
        Some(SymbolResult::with_string(address, name))
    }
}

/// One line an instruction: offset, then assembly with the kernel's names.
pub fn listing(code: &[u8], addr: u64, symbols: Kallsyms) -> String {
    let image = addr..addr + code.len() as u64;
    let names = Names { symbols, image };
    let mut formatter = GasFormatter::with_options(Some(Box::new(names)), None);
    let options = formatter.options_mut();
    options.set_uppercase_hex(false);
    options.set_small_hex_numbers_in_decimal(false);
    options.set_space_after_operand_separator(true);
    let mut text = String::new();
    for instr in decode(code, addr) {
        text += &format!("{:6x}:  ", instr.ip() - addr);
        formatter.format(&instr, &mut text);
        text.push('\n');
    }
    text
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
