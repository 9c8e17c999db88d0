// SPDX-License-Identifier: GPL-2.0

//! Moves, arithmetic and nops.

use super::super::disasm::decode;
use super::{assemble, number, one, registers, width, IP};
use crate::builder::asm::{Mem, Slot, RBP};
use crate::builder::Error;
use iced_x86::Mnemonic;

/// Around the limits of one-byte displacements and immediates.
const EDGES: [i32; 11] = [0, 1, 8, -1, -8, 127, 128, -128, -129, i32::MAX, i32::MIN];

/// Every base with every displacement: operand, text, bytes of ModR/M and SIB.
fn operands() -> impl Iterator<Item = (Mem, String, usize)> {
    registers().flat_map(|(base, name, _)| {
        EDGES.map(|disp| {
            let distance = number(disp.unsigned_abs().into());
            let text = match disp {
                0 => format!("[{name}]"),
                1.. => format!("[{name}+{distance}]"),
                _ => format!("[{name}-{distance}]"),
            };
            let sib = matches!(name, "rsp" | "r12");
            (Mem { base, disp }, text, 1 + usize::from(sib))
        })
    })
}

#[test]
fn operands_further_up() {
    let slot = |disp| Slot { disp };
    assert_eq!(slot(-8).up(2_u8), Ok(slot(8)));
    assert_eq!(slot(-8).up(8191_u16), Ok(slot(65_520)));
    assert_eq!(slot(-8).up(8192_u16), Err(Error::OutOfRange));
    assert_eq!(slot(-8).up_bytes(4), Ok(slot(-4)));
    assert_eq!(slot(i32::MAX).up_bytes(1), Err(Error::OutOfRange));
    let base = RBP;
    assert_eq!(Mem::from(slot(-8)), Mem { base, disp: -8 });
}

#[test]
fn between_registers() {
    for (dst, d64, d32) in registers() {
        for (src, s64, s32) in registers() {
            let upper = usize::from(d32.starts_with('r') || s32.starts_with('r'));
            assert_eq!(one(&format!("mov {d64},{s64}"), |a| a.mov(dst, src)), 3);
            let len = one(&format!("mov {d32},{s32}"), |a| a.mov32(dst, src));
            assert_eq!(len, 2 + upper);
            assert_eq!(one(&format!("test {d64},{s64}"), |a| a.test(dst, src)), 3);
        }
    }
}

#[test]
fn onto_the_stack() {
    for (reg, r64, r32) in registers() {
        let upper = usize::from(r32.starts_with('r'));
        assert_eq!(one(&format!("push {r64}"), |a| a.push(reg)), 1 + upper);
    }
}

#[test]
fn between_register_and_memory() {
    for (mem, m, rm) in operands() {
        for (reg, r64, _) in registers() {
            let load = format!("mov {r64},{m}");
            let (head, short) = (2 + rm, 2 + rm + width(mem.disp));
            assert_eq!(one(&load, |a| a.load(reg, mem)), short);
            assert_eq!(one(&load, |a| a.load_disp32(reg, mem)), head + 4);
            let store = format!("mov {m},{r64}");
            assert_eq!(one(&store, |a| a.store(mem, reg)), short);
            let lea = format!("lea {r64},{m}");
            assert_eq!(one(&lea, |a| a.lea(reg, mem)), short);
        }
    }
}

#[test]
fn between_memory_and_immediate() {
    for (mem, m, _) in operands() {
        for imm in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let text = format!("mov dword ptr {m},{}", number(imm.into()));
            one(&text, |a| a.store32_imm(mem, imm));
        }
        for imm in [0, 1, i8::MAX] {
            let text = format!("cmp qword ptr {m},{}", number(imm.unsigned_abs().into()));
            one(&text, |a| a.cmp_imm8(mem, imm));
        }
        let text = format!("cmp qword ptr {m},0xffffffffffffff80");
        one(&text, |a| a.cmp_imm8(mem, i8::MIN));
    }
}

/// Immediates at the limits of the forms of `mov`, with the length of each.
#[test]
fn between_register_and_immediate() {
    for (reg, r64, r32) in registers() {
        let upper = usize::from(r32.starts_with('r'));
        let xor = format!("xor {r32},{r32}");
        assert_eq!(one(&xor, |a| a.mov_imm(reg, 0)), 2 + upper);
        for imm in [1, 9, 10, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            let mov = format!("mov {r32},{}", number(imm));
            assert_eq!(one(&mov, |a| a.mov_imm(reg, imm)), 5 + upper);
        }
        for imm in [u64::MAX, 0xffff_ffff_8000_0000, 0xffff_ffff_8123_4567] {
            let mov = format!("mov {r64},{}", number(imm));
            assert_eq!(one(&mov, |a| a.mov_imm(reg, imm)), 7);
        }
        for imm in [
            1 << 32,
            0xffff_ffff_7fff_ffff,
            1 << 63,
            0x1122_3344_5566_7788,
        ] {
            let mov = format!("mov {r64},{}", number(imm));
            assert_eq!(one(&mov, |a| a.mov_imm(reg, imm)), 10);
        }
        for imm in [0, 0xdead_beef] {
            let mov = format!("mov {r32},{}", number(imm.into()));
            assert_eq!(one(&mov, |a| a.mov32_imm(reg, imm)), 5 + upper);
        }
        for imm in EDGES {
            let shown = number(i64::from(imm) as u64);
            let len = 3 + width(imm);
            assert_eq!(
                one(&format!("add {r64},{shown}"), |a| a.add_imm(reg, imm)),
                len
            );
            assert_eq!(
                one(&format!("sub {r64},{shown}"), |a| a.sub_imm(reg, imm)),
                len
            );
        }
    }
    for imm in [0, 1, 0xdead_0000] {
        let text = format!("sub eax,{}", number(imm.into()));
        assert_eq!(one(&text, |a| a.sub_eax_imm(imm)), 5);
    }
}

/// The nops of `arch/x86/include/asm/nops.h`, as the GNU assembler writes them.
const NOPS: [&str; 11] = [
    "90",
    "66 90",
    "0f 1f 00",
    "0f 1f 40 00",
    "0f 1f 44 00 00",
    "66 0f 1f 44 00 00",
    "0f 1f 80 00 00 00 00",
    "0f 1f 84 00 00 00 00 00",
    "2e 0f 1f 84 00 00 00 00 00",
    "66 2e 0f 1f 84 00 00 00 00 00",
    "66 66 2e 0f 1f 84 00 00 00 00 00",
];

#[test]
fn nops() {
    assert_eq!(assemble(None, |a| a.nop(0)).unwrap(), []);
    for len in 1..=64_usize {
        let code = assemble(None, |a| a.nop(len as u16)).unwrap();
        // As many of the longest as fit, then one for the rest.
        let mut expected = vec![NOPS[10]; len / 11];
        expected.extend((len % 11).checked_sub(1).map(|rest| NOPS[rest]));
        let bytes: Vec<_> = code.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes.join(" "), expected.join(" "));

        let insns = decode(&code, IP);
        assert_eq!(insns.len(), expected.len());
        assert!(insns.iter().all(|insn| insn.mnemonic() == Mnemonic::Nop));
    }
}

/// The address of the image's structure is a number as others are, and noted where it has 8 bytes.
#[test]
fn the_image() {
    for (reg, r64, r32) in registers() {
        let upper = usize::from(r32.starts_with('r'));
        let high = 0xffff_8881_0123_4000;
        let expected = format!("mov {r64},{}", number(high));
        assert_eq!(one(&expected, |a| a.mov_image(reg, high)), 10);
        let expected = format!("xor {r32},{r32}");
        assert_eq!(one(&expected, |a| a.mov_image(reg, 0)), 2 + upper);
    }
}
