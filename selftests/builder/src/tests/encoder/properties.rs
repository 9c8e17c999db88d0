// SPDX-License-Identifier: GPL-2.0

//! Properties of instructions with arbitrary operands, and of sequences.

use super::super::disasm::decode;
use super::{assemble, IP};
use crate::builder::asm::{Asm, Cond, Gpr, Label, Mem};
use crate::builder::writer::Writer;
use crate::builder::{CallDepth, Callee, Draft, Error};
use iced_x86::{Instruction, Mnemonic, Register};
use proptest::collection::vec;
use proptest::prelude::*;

fn register() -> impl Strategy<Value = Gpr> {
    prop::sample::select(Gpr::ALL.to_vec())
}

/// The disassembler's name for a register of 8 bytes.
fn named(reg: Gpr) -> Register {
    let number = Gpr::ALL.iter().position(|&other| other == reg);
    Register::RAX + u32::try_from(number.unwrap()).unwrap()
}

fn memory() -> impl Strategy<Value = Mem> {
    // Half of them around the limits of one byte.
    let disp = prop_oneof![any::<i32>(), -200..200_i32];
    (register(), disp).prop_map(|(base, disp)| Mem { base, disp })
}

/// The memory operand of an instruction.
fn operand(insn: &Instruction) -> (Register, u64, Register, Register) {
    (
        insn.memory_base(),
        insn.memory_displacement64(),
        insn.memory_index(),
        insn.segment_prefix(),
    )
}

/// The one instruction that `emit` emits.
fn single(emit: impl FnOnce(&mut Asm<'_, [u8]>) -> Result<(), Error>) -> Instruction {
    let code = assemble(None, emit).unwrap();
    let insns = decode(&code, IP);
    assert_eq!(insns.len(), 1, "{code:02x?}");
    insns[0]
}

/// An arbitrary instruction.
#[derive(Clone, Copy, Debug)]
enum Form {
    Push(Gpr),
    Mov(Gpr, Gpr),
    MovImm(Gpr, u64),
    Load(Gpr, Mem),
    Store(Mem, Gpr),
    StoreImm(Mem, u32),
    AddImm(Gpr, i32),
    Nop(u16),
    Call(u64),
    Jmp(u64),
}

impl Form {
    fn emit(self, asm: &mut Asm<'_, [u8]>) -> Result<(), Error> {
        match self {
            Self::Push(reg) => asm.push(reg),
            Self::Mov(dst, src) => asm.mov(dst, src),
            Self::MovImm(dst, imm) => asm.mov_imm(dst, imm),
            Self::Load(dst, src) => asm.load(dst, src),
            Self::Store(dst, src) => asm.store(dst, src),
            Self::StoreImm(dst, imm) => asm.store32_imm(dst, imm),
            Self::AddImm(dst, imm) => asm.add_imm(dst, imm),
            Self::Nop(len) => asm.nop(len),
            Self::Call(addr) => asm.call(Callee {
                addr,
                counted: false,
            }),
            Self::Jmp(addr) => asm.jmp(addr),
        }
    }
}

fn form() -> impl Strategy<Value = Form> {
    let near = (-(1_i64 << 30)..1 << 30).prop_map(|by| IP.wrapping_add_signed(by));
    prop_oneof![
        register().prop_map(Form::Push),
        (register(), register()).prop_map(|(dst, src)| Form::Mov(dst, src)),
        (register(), any::<u64>()).prop_map(|(dst, imm)| Form::MovImm(dst, imm)),
        (register(), memory()).prop_map(|(dst, src)| Form::Load(dst, src)),
        (memory(), register()).prop_map(|(dst, src)| Form::Store(dst, src)),
        (memory(), any::<u32>()).prop_map(|(dst, imm)| Form::StoreImm(dst, imm)),
        (register(), any::<i32>()).prop_map(|(dst, imm)| Form::AddImm(dst, imm)),
        (0..40_u16).prop_map(Form::Nop),
        near.clone().prop_map(Form::Call),
        near.prop_map(Form::Jmp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// Displacements and bases are those of the operand.
    #[test]
    fn memory_operands_come_back(mem in memory(), reg in register(), imm: u32, imm8: i8) {
        let disp = i64::from(mem.disp) as u64;
        let expected = (named(mem.base), disp, Register::None, Register::None);
        let load = single(|a| a.load(reg, mem));
        prop_assert_eq!((operand(&load), load.op0_register()), (expected, named(reg)));
        let wide = single(|a| a.load_disp32(reg, mem));
        prop_assert_eq!((operand(&wide), wide.op0_register()), (expected, named(reg)));
        let store = single(|a| a.store(mem, reg));
        prop_assert_eq!((operand(&store), store.op1_register()), (expected, named(reg)));
        let lea = single(|a| a.lea(reg, mem));
        prop_assert_eq!((operand(&lea), lea.op0_register()), (expected, named(reg)));
        let store = single(|a| a.store32_imm(mem, imm));
        prop_assert_eq!((operand(&store), store.immediate32()), (expected, imm));
        let cmp = single(|a| a.cmp_imm8(mem, imm8));
        prop_assert_eq!(operand(&cmp), expected);
        prop_assert_eq!(cmp.immediate8to64(), i64::from(imm8));
    }

    /// The register is set to the immediate, in the shortest form.
    #[test]
    fn immediates_come_back(reg in register(), any: u64, shift in 0..64_u32, negative: bool) {
        let imm = if negative { !(any >> shift) } else { any >> shift };
        let insn = single(|a| a.mov_imm(reg, imm));
        let held = match (insn.mnemonic(), insn.op0_register().size()) {
            (Mnemonic::Xor, 4) if insn.op0_register() == insn.op1_register() => 0,
            (Mnemonic::Mov, 4) => insn.immediate(1) & u64::from(u32::MAX),
            (Mnemonic::Mov, 8) => insn.immediate(1),
            _ => return Err(TestCaseError::fail(format!("{insn} is no move"))),
        };
        prop_assert_eq!(held, imm);
        prop_assert_eq!(insn.op0_register().full_register(), named(reg));
        let upper = usize::from(named(reg) >= Register::R8);
        let most = match imm {
            0 => 2 + upper,
            1..=0xffff_ffff => 5 + upper,
            0xffff_ffff_8000_0000.. => 7,
            _ => 10,
        };
        prop_assert_eq!(insn.len(), most);
    }

    #[test]
    fn arithmetic_comes_back(reg in register(), imm: i32, small: i8) {
        for imm in [imm, small.into()] {
            for (mnemonic, insn) in [
                (Mnemonic::Add, single(|a| a.add_imm(reg, imm))),
                (Mnemonic::Sub, single(|a| a.sub_imm(reg, imm))),
            ] {
                prop_assert_eq!((insn.mnemonic(), insn.op0_register()), (mnemonic, named(reg)));
                prop_assert_eq!(insn.immediate(1), i64::from(imm) as u64);
            }
        }
    }

    /// A branch leads to its target, or is refused.
    #[test]
    fn branches_come_back(far: u64, by: i32) {
        for target in [far, IP.wrapping_add_signed(by.into())] {
            let distance = target.wrapping_sub(IP + 5) as i64;
            let code = assemble(None, |a| a.jmp(target));
            match i32::try_from(distance) {
                Ok(_) => prop_assert_eq!(decode(&code.unwrap(), IP)[0].near_branch_target(), target),
                Err(_) => prop_assert_eq!(code, Err(Error::OutOfRange)),
            }
        }
    }

    /// All jumps to a label lead there, unless one of them is out of reach.
    #[test]
    fn labels_are_reached(gaps in vec((0..56_u16, any::<bool>()), 1..=3), behind in 0..70_u16) {
        let code = assemble(None, |a| {
            let (mut label, mut shorts) = (Label::new(), Vec::new());
            for &(gap, short) in &gaps {
                a.nop(gap)?;
                if short {
                    shorts.push(a.jcc_short(Cond::E)?);
                } else {
                    a.jcc(Cond::Ne, &mut label)?;
                }
            }
            a.nop(behind)?;
            a.bind(label)?;
            shorts.into_iter().try_for_each(|jump| a.bind_short(jump))
        });
        let size = |&(gap, short): &(u16, bool)| gap + if short { 2 } else { 6 };
        // Distance of each jump from the label.
        let distance = |n: usize| gaps[n + 1..].iter().map(size).sum::<u16>() + behind;
        let reached = (0..gaps.len()).all(|n| !gaps[n].1 || distance(n) <= 127);
        match code {
            Ok(code) => {
                prop_assert!(reached);
                let insns = decode(&code, IP);
                let jumps = insns.iter().filter(|insn| insn.is_jcc_short_or_near());
                let targets: Vec<_> = jumps.map(Instruction::near_branch_target).collect();
                prop_assert_eq!(targets, vec![IP + code.len() as u64; gaps.len()]);
            }
            Err(error) => prop_assert_eq!((error, reached), (Error::OutOfRange, false)),
        }
    }

    /// A sequence has the size that was counted, and the rest of the buffer is not written if it
    /// does not fit.
    #[test]
    fn sequences_are_bounded(forms in vec(form(), 0..30), room in 0..200_usize, debug: bool) {
        let counters = Some(CallDepth { depth: IP, calls: debug.then_some(IP + 8) });
        let (mut code, mut ample) = ([0xa5; 264], [0xa5; 4096]);
        let mut drafts = [Draft::default(), Draft::default()];
        let [one, other] = &mut drafts;
        let mut writing = Asm::new(Writer::new(&mut code[..room], IP), counters, one);
        let mut counting = Asm::new(Writer::new(&mut ample[..], IP), counters, other);
        let mut end = 0;
        for form in forms {
            form.emit(&mut counting).unwrap();
            let result = form.emit(&mut writing);
            if usize::from(counting.pos()) > room {
                prop_assert_eq!(result, Err(Error::TooBig));
                break;
            }
            prop_assert_eq!((result, writing.pos()), (Ok(()), counting.pos()));
            end = counting.pos().into();
        }
        prop_assert!(code[room..].iter().all(|&byte| byte == 0xa5));
        decode(&code[..end], IP);
    }
}
