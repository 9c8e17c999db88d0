// SPDX-License-Identifier: GPL-2.0

//! Where an image ends, and what it refers to.

use std::collections::BTreeSet;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

/// How many bytes the image has that begins at `addr`. `code` is as much as it can be at most.
///
/// It ends with the return, or the jump to the return thunk, that no jump forward passes by, and
/// with the `int3` behind a return. None where there is no such place: these are no image's bytes.
pub fn len(code: &[u8], addr: u64) -> Option<usize> {
    let end = addr.checked_add(code.len() as u64)?;
    let mut farthest = addr;
    let mut decoder = Decoder::with_ip(64, code, addr, DecoderOptions::NONE);
    let mut instr = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instr);
        let ends = match instr.flow_control() {
            FlowControl::Exception if instr.is_invalid() => return None,
            FlowControl::Return => true,
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                let target = instr.near_branch_target();
                if (addr..end).contains(&target) {
                    farthest = farthest.max(target);
                    false
                } else {
                    instr.flow_control() == FlowControl::UnconditionalBranch
                }
            }
            _ => false,
        };
        if ends && farthest < instr.next_ip() {
            let len = decoder.position();
            let is_return = instr.flow_control() == FlowControl::Return;
            let has_int3 = is_return && code.get(len) == Some(&0xcc);
            return Some(len + usize::from(has_int3));
        }
    }
    None
}

/// The addresses that the code has in it and that are not its own: targets of calls and jumps,
/// memory, and constants of 64 bits (or 32 with a sign) that can be addresses of the kernel.
pub fn references(code: &[u8], addr: u64) -> BTreeSet<u64> {
    let own = addr..addr.saturating_add(code.len() as u64);
    Decoder::with_ip(64, code, addr, DecoderOptions::NONE)
        .into_iter()
        .flat_map(|instr| {
            let operands = (0..instr.op_count()).filter_map(move |nr| match instr.op_kind(nr) {
                OpKind::NearBranch64 => Some(instr.near_branch_target()),
                OpKind::Memory if instr.is_ip_rel_memory_operand() => {
                    Some(instr.ip_rel_memory_address())
                }
                OpKind::Immediate64 => Some(instr.immediate64()),
                OpKind::Immediate32to64 if instr.code() == Code::Mov_rm64_imm32 => {
                    Some(instr.immediate(nr))
                }
                _ => None,
            });
            operands.collect::<Vec<_>>()
        })
        .filter(|at| !own.contains(at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDR: u64 = 0xffff_ffff_c020_1000;

    #[test]
    fn the_int3_behind_the_return_belongs_to_it() {
        // push rbp; leave; ret; int3; int3
        assert_eq!(len(&[0x55, 0xc9, 0xc3, 0xcc, 0xcc], ADDR), Some(4));
        assert_eq!(len(&[0x55, 0xc9, 0xc3], ADDR), Some(3));
    }

    #[test]
    fn a_jump_to_the_return_thunk_ends_it() {
        // leave; jmp far away; int3
        let code = [0xc9, 0xe9, 0x00, 0x00, 0x10, 0x00, 0xcc];
        assert_eq!(len(&code, ADDR), Some(6));
    }

    #[test]
    fn a_return_that_is_jumped_over_does_not() {
        // je over; ret; over: nop; ret
        assert_eq!(len(&[0x74, 0x01, 0xc3, 0x90, 0xc3], ADDR), Some(5));
        // jmp over; ret; over: ret
        assert_eq!(len(&[0xeb, 0x01, 0xc3, 0xc3], ADDR), Some(4));
        // A jump back passes by nothing.
        assert_eq!(len(&[0x90, 0x74, 0xfd, 0xc3], ADDR), Some(4));
    }

    #[test]
    fn what_does_not_end_is_no_image() {
        assert_eq!(len(&[], ADDR), None);
        assert_eq!(len(&[0x90; 16], ADDR), None);
        assert_eq!(len(&[0x06, 0xc3], ADDR), None);
        // Cut in the middle of an instruction.
        assert_eq!(len(&[0x90, 0xe8, 0x00], ADDR), None);
    }

    #[test]
    fn references_are_what_is_outside() {
        let code = [
            &[0xe8, 0xfb, 0x0f, 0x00, 0x00][..],               // call +0x1000
            &[0x74, 0x00],                                     // je, here
            &[0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1],             // movabs rax
            &[0x48, 0xc7, 0xc7, 0x10, 0x00, 0x00, 0x81],       // mov rdi, imm32
            &[0x65, 0x48, 0xff, 0x05, 0x00, 0x01, 0x00, 0x00], // inc gs:[rip+0x100]
            &[0x48, 0x83, 0xec, 0x20],                         // sub rsp
            &[0xb9, 0x05, 0x00, 0x00, 0x00],                   // mov ecx
        ]
        .concat();
        let seen: Vec<_> = references(&code, ADDR).into_iter().collect();
        assert_eq!(
            seen,
            [
                0x0102_0304_0506_0708,
                0xffff_ffff_8100_0010,
                ADDR + 0x1000,
                ADDR + 0x20 + 0x100,
            ]
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
        );
    }
}
