// SPDX-License-Identifier: GPL-2.0

//! Assembler for the instructions of a trampoline image.
//!
//! Each method of [`Asm`] emits one instruction, in the encoding that the C JIT chooses. Operands
//! are in Intel order: the destination comes first.

mod operand;

pub(crate) use operand::{Cond, Gpr, Label, Mem, R8, R9, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP};

use self::operand::{Jump, Reach};
use super::error::{Error, Result};
use super::sink::Sink;
use super::{CallDepth, Callee};

/// Operand size of an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    B4,
    B8,
}

/// An assembler over a sink.
pub(crate) struct Asm<'a> {
    sink: Sink<'a>,
    call_depth: Option<CallDepth>,
}

/// Encodings.
impl<'a> Asm<'a> {
    /// Creates an assembler whose calls do the accounting for `call_depth`, if any.
    pub(crate) const fn new(sink: Sink<'a>, call_depth: Option<CallDepth>) -> Self {
        Self { sink, call_depth }
    }

    /// Number of bytes emitted.
    pub(crate) const fn pos(&self) -> u16 {
        self.sink.pos()
    }

    /// Address of the next instruction.
    pub(crate) fn address(&self) -> u64 {
        self.sink.address(0)
    }

    /// Emits the opcode, with the REX prefix that 8-byte operands or upper registers need.
    fn opcode(&mut self, width: Width, opcode: u8, reg: Gpr, rm: Gpr) -> Result {
        let upper = (reg.high() << 2) | rm.high();
        match (width, upper) {
            (Width::B4, 0) => self.sink.put(&[opcode]),
            (Width::B4, _) => self.sink.put(&[0x40 | upper, opcode]),
            (Width::B8, _) => self.sink.put(&[0x48 | upper, opcode]),
        }
    }

    /// `opcode rm, reg` between registers.
    fn reg(&mut self, width: Width, opcode: u8, reg: Gpr, rm: Gpr) -> Result {
        self.opcode(width, opcode, reg, rm)?;
        self.sink.put(&[0xc0 | (reg.low() << 3) | rm.low()])
    }

    /// `opcode reg, [mem]` or `opcode [mem], reg`.
    fn mem(&mut self, width: Width, opcode: u8, reg: Gpr, mem: Mem) -> Result {
        match i8::try_from(mem.disp) {
            Ok(disp) => {
                self.mem_base(width, opcode, reg, mem.base, 0x40)?;
                self.sink.put(&disp.to_le_bytes())
            }
            Err(_) => self.mem_disp32(width, opcode, reg, mem),
        }
    }

    /// The same, always with a 4-byte displacement.
    fn mem_disp32(&mut self, width: Width, opcode: u8, reg: Gpr, mem: Mem) -> Result {
        self.mem_base(width, opcode, reg, mem.base, 0x80)?;
        self.sink.put(&mem.disp.to_le_bytes())
    }

    /// Emits an instruction up to its displacement, whose size is in `mode`.
    ///
    /// RBP and R13 need no special case, as there always is a displacement; RSP and R12 need a SIB
    /// byte.
    fn mem_base(&mut self, width: Width, opcode: u8, reg: Gpr, base: Gpr, mode: u8) -> Result {
        self.opcode(width, opcode, reg, base)?;
        self.sink.put(&[mode | (reg.low() << 3) | base.low()])?;
        if base.low() == RSP.low() {
            self.sink.put(&[0x24])?;
        }
        Ok(())
    }

    /// An opcode that includes a register number.
    fn opcode_reg(&mut self, width: Width, opcode: u8, reg: Gpr) -> Result {
        self.opcode(width, opcode | reg.low(), RAX, reg)
    }

    /// Displacement of `target` from the end of an instruction that is `left` bytes away.
    fn rel32(&self, target: u64, left: u16) -> Result<[u8; 4]> {
        let distance = signed(target.wrapping_sub(self.sink.address(left)));
        let distance = i32::try_from(distance).map_err(|_| Error::OutOfRange)?;
        Ok(distance.to_le_bytes())
    }

    /// `opcode target`, for a target outside of the image.
    fn branch(&mut self, opcode: u8, target: u64) -> Result {
        let rel32 = self.rel32(target, 5)?;
        self.sink.put(&[opcode])?;
        self.sink.put(&rel32)
    }

    /// `opcode gs:[rip + ...]`, with `imm` after the displacement.
    fn gs_rip(&mut self, opcode: [u8; 2], target: u64, imm: &[u8]) -> Result {
        let [opcode, modrm] = opcode;
        self.sink.put(&[0x65, 0x48, opcode, modrm])?;
        let left = u16::try_from(imm.len()).map_err(|_| Error::OutOfRange)?;
        let rel32 = self.rel32(target, left.saturating_add(4))?;
        self.sink.put(&rel32)?;
        self.sink.put(imm)
    }
}

/// Moves and arithmetic.
impl Asm<'_> {
    /// `push reg`.
    pub(crate) fn push(&mut self, reg: Gpr) -> Result {
        self.opcode_reg(Width::B4, 0x50, reg)
    }

    /// `mov dst, src`.
    pub(crate) fn mov(&mut self, dst: Gpr, src: Gpr) -> Result {
        self.reg(Width::B8, 0x89, src, dst)
    }

    /// `mov dst, src` of 4 bytes, which clears the upper half of `dst`.
    pub(crate) fn mov32(&mut self, dst: Gpr, src: Gpr) -> Result {
        self.reg(Width::B4, 0x89, src, dst)
    }

    /// `mov dst, imm` in its shortest form: `xor`, `mov` of a zero- or sign-extended 4-byte
    /// immediate, or `movabs`.
    pub(crate) fn mov_imm(&mut self, dst: Gpr, imm: u64) -> Result {
        if imm == 0 {
            self.reg(Width::B4, 0x31, dst, dst)
        } else if let Ok(imm) = u32::try_from(imm) {
            self.mov32_imm(dst, imm)
        } else if let Ok(imm) = i32::try_from(signed(imm)) {
            self.reg(Width::B8, 0xc7, EXT0, dst)?;
            self.sink.put(&imm.to_le_bytes())
        } else {
            self.opcode_reg(Width::B8, 0xb8, dst)?;
            self.sink.put(&imm.to_le_bytes())
        }
    }

    /// `mov dst, imm` of 4 bytes, which clears the upper half of `dst`.
    pub(crate) fn mov32_imm(&mut self, dst: Gpr, imm: u32) -> Result {
        self.opcode_reg(Width::B4, 0xb8, dst)?;
        self.sink.put(&imm.to_le_bytes())
    }

    /// `mov dst, [src]`.
    pub(crate) fn load(&mut self, dst: Gpr, src: Mem) -> Result {
        self.mem(Width::B8, 0x8b, dst, src)
    }

    /// `mov dst, [src]` with a 4-byte displacement.
    pub(crate) fn load_disp32(&mut self, dst: Gpr, src: Mem) -> Result {
        self.mem_disp32(Width::B8, 0x8b, dst, src)
    }

    /// `mov [dst], src`.
    pub(crate) fn store(&mut self, dst: Mem, src: Gpr) -> Result {
        self.mem(Width::B8, 0x89, src, dst)
    }

    /// `mov dword [dst], imm`.
    pub(crate) fn store32_imm(&mut self, dst: Mem, imm: u32) -> Result {
        self.mem(Width::B4, 0xc7, EXT0, dst)?;
        self.sink.put(&imm.to_le_bytes())
    }

    /// `lea dst, [src]`.
    pub(crate) fn lea(&mut self, dst: Gpr, src: Mem) -> Result {
        self.mem(Width::B8, 0x8d, dst, src)
    }

    /// `add dst, imm`.
    pub(crate) fn add_imm(&mut self, dst: Gpr, imm: i32) -> Result {
        self.alu_imm(EXT0, dst, imm)
    }

    /// `sub dst, imm`.
    pub(crate) fn sub_imm(&mut self, dst: Gpr, imm: i32) -> Result {
        self.alu_imm(EXT5, dst, imm)
    }

    fn alu_imm(&mut self, operation: Gpr, dst: Gpr, imm: i32) -> Result {
        match i8::try_from(imm) {
            Ok(imm) => {
                self.reg(Width::B8, 0x83, operation, dst)?;
                self.sink.put(&imm.to_le_bytes())
            }
            Err(_) => {
                self.reg(Width::B8, 0x81, operation, dst)?;
                self.sink.put(&imm.to_le_bytes())
            }
        }
    }

    /// `sub eax, imm`, which clears the upper half of RAX.
    pub(crate) fn sub_eax_imm(&mut self, imm: u32) -> Result {
        self.sink.put(&[0x2d])?;
        self.sink.put(&imm.to_le_bytes())
    }

    /// `test a, b`.
    pub(crate) fn test(&mut self, a: Gpr, b: Gpr) -> Result {
        self.reg(Width::B8, 0x85, b, a)
    }

    /// `cmp qword [mem], imm`.
    pub(crate) fn cmp_imm8(&mut self, mem: Mem, imm: i8) -> Result {
        self.mem(Width::B8, 0x83, EXT7, mem)?;
        self.sink.put(&imm.to_le_bytes())
    }

    /// A nop of `len` bytes, in as few instructions as the kernel's nops allow.
    pub(crate) fn nop(&mut self, len: u16) -> Result {
        let mut left = usize::from(len);
        while left != 0 {
            let nop = NOPS.get(left).unwrap_or(&LONGEST_NOP);
            self.sink.put(nop)?;
            left = left.saturating_sub(nop.len());
        }
        Ok(())
    }
}

/// Control flow.
impl Asm<'_> {
    /// `call callee`, with the accounting for it unless the callee does its own.
    pub(crate) fn call(&mut self, callee: Callee) -> Result {
        if !callee.counted {
            self.account_call()?;
        }
        self.branch(0xe8, callee.addr)
    }

    /// Accounts for a call if the machine has call-depth tracking.
    pub(crate) fn account_call(&mut self) -> Result {
        if let Some(CallDepth { depth, calls }) = self.call_depth {
            // sar qword gs:[depth], RET_DEPTH_SHIFT
            self.gs_rip([0xc1, 0x3d], depth, &[RET_DEPTH_SHIFT])?;
            if let Some(calls) = calls {
                // inc qword gs:[calls]
                self.gs_rip([0xff, 0x05], calls, &[])?;
            }
        }
        Ok(())
    }

    /// `cs cs call target` without accounting. It has 7 bytes, like [`jne_udb`](Self::jne_udb).
    pub(crate) fn cs_cs_call(&mut self, target: u64) -> Result {
        self.sink.put(&[0x2e, 0x2e])?;
        self.branch(0xe8, target)
    }

    /// `call reg`.
    pub(crate) fn call_reg(&mut self, reg: Gpr) -> Result {
        self.reg(Width::B4, 0xff, EXT2, reg)
    }

    /// `jmp target`.
    pub(crate) fn jmp(&mut self, target: u64) -> Result {
        self.branch(0xe9, target)
    }

    /// `jcc label`, over at most 127 bytes.
    pub(crate) fn jcc_short<const N: usize>(&mut self, cond: Cond, label: &mut Label<N>) -> Result {
        self.sink.put(&[0x70 | cond.code(), 0])?;
        label.add(Jump {
            end: self.pos(),
            reach: Reach::Short,
        })
    }

    /// `jcc label`, over any distance.
    pub(crate) fn jcc<const N: usize>(&mut self, cond: Cond, label: &mut Label<N>) -> Result {
        self.sink.put(&[0x0f, 0x80 | cond.code(), 0, 0, 0, 0])?;
        label.add(Jump {
            end: self.pos(),
            reach: Reach::Near,
        })
    }

    /// Binds `label` to the current position.
    pub(crate) fn bind<const N: usize>(&mut self, label: Label<N>) -> Result {
        for Jump { end, reach } in label.jumps.into_iter().flatten() {
            let distance = i32::from(self.pos())
                .checked_sub(i32::from(end))
                .ok_or(Error::OutOfRange)?;
            match reach {
                Reach::Short => {
                    let rel8 = i8::try_from(distance).map_err(|_| Error::OutOfRange)?;
                    self.sink
                        .patch(end.saturating_sub(1), &rel8.to_le_bytes())?;
                }
                Reach::Near => {
                    self.sink
                        .patch(end.saturating_sub(4), &distance.to_le_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// `jne` with the not-taken hint to the `udb` in the [`endbr_poison`] that follows.
    ///
    /// [`endbr_poison`]: Self::endbr_poison
    pub(crate) fn jne_udb(&mut self) -> Result {
        self.sink.put(&[0x2e, 0x0f, 0x85, 3, 0, 0, 0])
    }

    /// `leave`.
    pub(crate) fn leave(&mut self) -> Result {
        self.sink.put(&[0xc9])
    }

    /// `ret`.
    pub(crate) fn ret(&mut self) -> Result {
        self.sink.put(&[0xc3])
    }

    /// `int3`.
    pub(crate) fn int3(&mut self) -> Result {
        self.sink.put(&[0xcc])
    }

    /// `endbr64`.
    pub(crate) fn endbr64(&mut self) -> Result {
        self.sink.put(&[0xf3, 0x0f, 0x1e, 0xfa])
    }

    /// What replaces an `endbr64` that must not be a target: `nop dword [rax - 42]`, whose last
    /// byte is a `udb`.
    pub(crate) fn endbr_poison(&mut self) -> Result {
        self.sink.put(&[0x0f, 0x1f, 0x40, 0xd6])
    }
}

/// Opcode extensions, encoded in place of a register.
const EXT0: Gpr = Gpr(0);
const EXT2: Gpr = Gpr(2);
const EXT5: Gpr = Gpr(5);
const EXT7: Gpr = Gpr(7);

/// Shift of the call-depth counter for a call (`RET_DEPTH_SHIFT`).
pub(crate) const RET_DEPTH_SHIFT: u8 = 5;

/// Length of the longest nop of one instruction (`ASM_NOP_MAX`).
pub(crate) const ASM_NOP_MAX: usize = LONGEST_NOP.len();

const LONGEST_NOP: &[u8] = &[0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0];

/// Nops of the shorter lengths (`x86_nops`).
const NOPS: [&[u8]; ASM_NOP_MAX] = [
    &[],
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0],
    &[0x0f, 0x1f, 0x44, 0, 0],
    &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
    &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
    &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    &[0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
];

/// Reinterprets 64 bits as a signed number.
const fn signed(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}
