// SPDX-License-Identifier: GPL-2.0

//! Assembler for the instructions of a trampoline image.
//!
//! Each method of [`Asm`] emits one instruction, in the encoding that the C JIT chooses. Operands
//! are in Intel order: the destination comes first.

mod operand;

pub(crate) use operand::{
    Cond, Gpr, Label, Mem, Slot, R8, R9, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP,
};

use self::operand::{Jump, Reach};
use super::error::{Error, Result};
use super::relocation::{takes_8_bytes, Recorder, Relocations};
use super::sink::Sink;
use super::{CallDepth, Callee};

/// Operand size of an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    B4,
    B8,
}

/// An assembler over a sink.
///
/// All of it is inlined into the generator, where registers and most operands are known, so that
/// little is left of an instruction but the store of its bytes.
pub(crate) struct Asm<'a, S> {
    sink: S,
    call_depth: Option<CallDepth>,
    relocations: Recorder<'a>,
}

/// Encodings.
impl<'a, S: Sink> Asm<'a, S> {
    /// Creates an assembler whose calls do the accounting for `call_depth`, if any.
    pub(crate) const fn new(
        sink: S,
        call_depth: Option<CallDepth>,
        relocations: Recorder<'a>,
    ) -> Self {
        Self {
            sink,
            call_depth,
            relocations,
        }
    }

    /// What depends on the place of the code.
    pub(super) fn relocations(&self) -> Relocations {
        self.relocations.found()
    }

    /// Number of bytes emitted.
    #[inline(always)]
    pub(crate) fn pos(&self) -> u16 {
        self.sink.pos()
    }

    /// Address of the next instruction.
    pub(crate) fn address(&self) -> u64 {
        self.sink.address(0)
    }

    /// `opcode rm, reg` between registers.
    #[inline(always)]
    fn reg(&mut self, width: Width, opcode: u8, reg: Gpr, rm: Gpr) -> Result {
        let modrm = 0xc0 | (reg.low() << 3) | rm.low();
        match rex(width, reg, rm) {
            Some(rex) => self.sink.put([rex, opcode, modrm]),
            None => self.sink.put([opcode, modrm]),
        }
    }

    /// `opcode reg, [mem]` or `opcode [mem], reg`.
    #[inline(always)]
    fn mem(&mut self, width: Width, opcode: u8, reg: Gpr, mem: Mem) -> Result {
        let Ok(disp) = i8::try_from(mem.disp) else {
            return self.mem_disp32(width, opcode, reg, mem);
        };
        let [disp] = disp.to_le_bytes();
        let modrm = 0x40 | (reg.low() << 3) | mem.base.low();
        match (rex(width, reg, mem.base), mem.base.has_sib()) {
            (Some(rex), false) => self.sink.put([rex, opcode, modrm, disp]),
            (Some(rex), true) => self.sink.put([rex, opcode, modrm, SIB, disp]),
            (None, false) => self.sink.put([opcode, modrm, disp]),
            (None, true) => self.sink.put([opcode, modrm, SIB, disp]),
        }
    }

    /// The same, always with a 4-byte displacement.
    ///
    /// RBP and R13 need no special case, as there always is a displacement; RSP and R12 need a SIB
    /// byte.
    #[inline(always)]
    fn mem_disp32(&mut self, width: Width, opcode: u8, reg: Gpr, mem: Mem) -> Result {
        let disp = mem.disp.to_le_bytes();
        let modrm = 0x80 | (reg.low() << 3) | mem.base.low();
        match (rex(width, reg, mem.base), mem.base.has_sib()) {
            (Some(rex), false) => self.sink.put_both([rex, opcode, modrm], disp),
            (Some(rex), true) => self.sink.put_both([rex, opcode, modrm, SIB], disp),
            (None, false) => self.sink.put_both([opcode, modrm], disp),
            (None, true) => self.sink.put_both([opcode, modrm, SIB], disp),
        }
    }

    /// A 4-byte opcode that includes a register number.
    #[inline(always)]
    fn opcode_reg(&mut self, opcode: u8, reg: Gpr) -> Result {
        let opcode = opcode | reg.low();
        match rex(Width::B4, EXT0, reg) {
            Some(rex) => self.sink.put([rex, opcode]),
            None => self.sink.put([opcode]),
        }
    }

    /// Displacement of `target` from the end of an instruction that is `left` bytes away.
    #[inline(always)]
    fn rel32(&self, target: u64, left: u16) -> Result<[u8; 4]> {
        let distance = signed(target.wrapping_sub(self.sink.address(left)));
        let distance = i32::try_from(distance).map_err(|_| Error::OutOfRange)?;
        Ok(distance.to_le_bytes())
    }

    /// `opcode target`, for a target outside of the image.
    #[inline(always)]
    fn branch(&mut self, opcode: u8, target: u64) -> Result {
        let rel32 = self.rel32(target, 5)?;
        self.sink.put_both([opcode], rel32)?;
        self.relocations.rel32(self.sink.pos())
    }

    /// `opcode gs:[rip + ...]`, in front of `left` bytes of an immediate.
    fn gs_rip(&mut self, opcode: [u8; 2], target: u64, left: u16) -> Result {
        let [opcode, modrm] = opcode;
        let rel32 = self.rel32(target, left.saturating_add(8))?;
        self.sink.put_both([0x65, 0x48, opcode, modrm], rel32)?;
        self.relocations.rel32(self.sink.pos())
    }
}

/// Moves and arithmetic.
impl<S: Sink> Asm<'_, S> {
    /// `push reg`.
    #[inline(always)]
    pub(crate) fn push(&mut self, reg: Gpr) -> Result {
        self.opcode_reg(0x50, reg)
    }

    /// `mov dst, src`.
    #[inline(always)]
    pub(crate) fn mov(&mut self, dst: Gpr, src: Gpr) -> Result {
        self.reg(Width::B8, 0x89, src, dst)
    }

    /// `mov dst, src` of 4 bytes, which clears the upper half of `dst`.
    #[inline(always)]
    pub(crate) fn mov32(&mut self, dst: Gpr, src: Gpr) -> Result {
        self.reg(Width::B4, 0x89, src, dst)
    }

    /// `mov dst, imm` in its shortest form: `xor`, `mov` of a zero- or sign-extended 4-byte
    /// immediate, or `movabs`.
    #[inline(always)]
    pub(crate) fn mov_imm(&mut self, dst: Gpr, imm: u64) -> Result {
        if imm == 0 {
            self.reg(Width::B4, 0x31, dst, dst)
        } else if let Ok(imm) = u32::try_from(imm) {
            self.mov32_imm(dst, imm)
        } else if let Ok(imm) = i32::try_from(signed(imm)) {
            self.reg(Width::B8, 0xc7, EXT0, dst)?;
            self.sink.put(imm.to_le_bytes())
        } else {
            let opcode = [0x48 | dst.high(), 0xb8 | dst.low()];
            self.sink.put_both(opcode, imm.to_le_bytes())
        }
    }

    /// `mov dst, image`, the address of the `struct bpf_tramp_image`.
    pub(crate) fn mov_image(&mut self, dst: Gpr, image: u64) -> Result {
        self.mov_imm(dst, image)?;
        if takes_8_bytes(image) {
            return self.relocations.image(self.sink.pos());
        }
        self.relocations.fix();
        Ok(())
    }

    /// `mov dst, imm` of 4 bytes, which clears the upper half of `dst`.
    #[inline(always)]
    pub(crate) fn mov32_imm(&mut self, dst: Gpr, imm: u32) -> Result {
        self.opcode_reg(0xb8, dst)?;
        self.sink.put(imm.to_le_bytes())
    }

    /// `mov dst, [src]`.
    #[inline(always)]
    pub(crate) fn load(&mut self, dst: Gpr, src: impl Into<Mem>) -> Result {
        self.mem(Width::B8, 0x8b, dst, src.into())
    }

    /// `mov dst, [src]` with a 4-byte displacement.
    pub(crate) fn load_disp32(&mut self, dst: Gpr, src: impl Into<Mem>) -> Result {
        self.mem_disp32(Width::B8, 0x8b, dst, src.into())
    }

    /// `mov [dst], src`.
    #[inline(always)]
    pub(crate) fn store(&mut self, dst: impl Into<Mem>, src: Gpr) -> Result {
        self.mem(Width::B8, 0x89, src, dst.into())
    }

    /// `mov dword [dst], imm`.
    #[inline(always)]
    pub(crate) fn store32_imm(&mut self, dst: impl Into<Mem>, imm: u32) -> Result {
        self.mem(Width::B4, 0xc7, EXT0, dst.into())?;
        self.sink.put(imm.to_le_bytes())
    }

    /// `lea dst, [src]`.
    #[inline(always)]
    pub(crate) fn lea(&mut self, dst: Gpr, src: impl Into<Mem>) -> Result {
        self.mem(Width::B8, 0x8d, dst, src.into())
    }

    /// `add dst, imm`.
    #[inline(always)]
    pub(crate) fn add_imm(&mut self, dst: Gpr, imm: i32) -> Result {
        self.alu_imm(EXT0, dst, imm)
    }

    /// `sub dst, imm`.
    #[inline(always)]
    pub(crate) fn sub_imm(&mut self, dst: Gpr, imm: i32) -> Result {
        self.alu_imm(EXT5, dst, imm)
    }

    #[inline(always)]
    fn alu_imm(&mut self, operation: Gpr, dst: Gpr, imm: i32) -> Result {
        match i8::try_from(imm) {
            Ok(imm) => {
                self.reg(Width::B8, 0x83, operation, dst)?;
                self.sink.put(imm.to_le_bytes())
            }
            Err(_) => {
                self.reg(Width::B8, 0x81, operation, dst)?;
                self.sink.put(imm.to_le_bytes())
            }
        }
    }

    /// `sub eax, imm`, which clears the upper half of RAX.
    pub(crate) fn sub_eax_imm(&mut self, imm: u32) -> Result {
        self.sink.put([0x2d])?;
        self.sink.put(imm.to_le_bytes())
    }

    /// `test a, b`.
    #[inline(always)]
    pub(crate) fn test(&mut self, a: Gpr, b: Gpr) -> Result {
        self.reg(Width::B8, 0x85, b, a)
    }

    /// `cmp qword [mem], imm`.
    #[inline(always)]
    pub(crate) fn cmp_imm8(&mut self, mem: impl Into<Mem>, imm: i8) -> Result {
        self.mem(Width::B8, 0x83, EXT7, mem.into())?;
        self.sink.put(imm.to_le_bytes())
    }

    /// A nop of `len` bytes, in as few instructions as the kernel's nops allow (`x86_nops`).
    #[inline(always)]
    pub(crate) fn nop(&mut self, len: u16) -> Result {
        match len {
            0 => Ok(()),
            1 => self.sink.put([0x90]),
            2 => self.sink.put([0x66, 0x90]),
            3 => self.sink.put([0x0f, 0x1f, 0x00]),
            4 => self.sink.put([0x0f, 0x1f, 0x40, 0]),
            5 => self.sink.put([0x0f, 0x1f, 0x44, 0, 0]),
            6 => self.sink.put([0x66, 0x0f, 0x1f, 0x44, 0, 0]),
            7 => self.sink.put([0x0f, 0x1f, 0x80, 0, 0, 0, 0]),
            8 => self.sink.put([0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
            9 => self.sink.put([0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
            10 => self.sink.put([0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
            _ => self.long_nop(len),
        }
    }

    /// The same, of a length that takes more than one instruction.
    fn long_nop(&mut self, len: u16) -> Result {
        let mut left = len;
        while left >= ASM_NOP_MAX {
            self.sink
                .put([0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0])?;
            left = left.saturating_sub(ASM_NOP_MAX);
        }
        // Shorter than the longest one.
        self.nop(left)
    }
}

/// Control flow.
impl<S: Sink> Asm<'_, S> {
    /// `call callee`, with the accounting for it unless the callee does its own.
    #[inline(always)]
    pub(crate) fn call(&mut self, callee: Callee) -> Result {
        if !callee.counted {
            self.account_call()?;
        }
        self.branch(0xe8, callee.addr)
    }

    /// Accounts for a call if the machine has call-depth tracking.
    #[inline(always)]
    pub(crate) fn account_call(&mut self) -> Result {
        if let Some(CallDepth { depth, calls }) = self.call_depth {
            // sar qword gs:[depth], RET_DEPTH_SHIFT
            self.gs_rip([0xc1, 0x3d], depth, 1)?;
            self.sink.put([RET_DEPTH_SHIFT])?;
            if let Some(calls) = calls {
                // inc qword gs:[calls]
                self.gs_rip([0xff, 0x05], calls, 0)?;
            }
        }
        Ok(())
    }

    /// `cs cs call target` without accounting. It has 7 bytes, like [`jne_udb`](Self::jne_udb).
    pub(crate) fn cs_cs_call(&mut self, target: u64) -> Result {
        self.sink.put([0x2e, 0x2e])?;
        self.branch(0xe8, target)
    }

    /// `call reg`.
    #[inline(always)]
    pub(crate) fn call_reg(&mut self, reg: Gpr) -> Result {
        self.reg(Width::B4, 0xff, EXT2, reg)
    }

    /// `jmp target`.
    pub(crate) fn jmp(&mut self, target: u64) -> Result {
        self.branch(0xe9, target)
    }

    /// `jcc label`, over at most 127 bytes.
    #[inline(always)]
    pub(crate) fn jcc_short<const N: usize>(&mut self, cond: Cond, label: &mut Label<N>) -> Result {
        self.sink.put([0x70 | cond.code(), 0])?;
        label.add(Jump {
            end: self.pos(),
            reach: Reach::Short,
        })
    }

    /// `jcc label`, over any distance.
    #[inline(always)]
    pub(crate) fn jcc<const N: usize>(&mut self, cond: Cond, label: &mut Label<N>) -> Result {
        self.sink.put([0x0f, 0x80 | cond.code(), 0, 0, 0, 0])?;
        label.add(Jump {
            end: self.pos(),
            reach: Reach::Near,
        })
    }

    /// Binds `label` to the current position.
    #[inline(always)]
    pub(crate) fn bind<const N: usize>(&mut self, label: Label<N>) -> Result {
        for Jump { end, reach } in label.into_jumps() {
            let distance = i32::from(self.pos())
                .checked_sub(i32::from(end))
                .ok_or(Error::OutOfRange)?;
            match reach {
                Reach::Short => {
                    let rel8 = i8::try_from(distance).map_err(|_| Error::OutOfRange)?;
                    self.sink.patch(end.saturating_sub(1), rel8.to_le_bytes())?;
                }
                Reach::Near => {
                    self.sink
                        .patch(end.saturating_sub(4), distance.to_le_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// `jne` with the not-taken hint to the `udb` in the [`endbr_poison`] that follows.
    ///
    /// [`endbr_poison`]: Self::endbr_poison
    pub(crate) fn jne_udb(&mut self) -> Result {
        self.sink.put([0x2e, 0x0f, 0x85, 3, 0, 0, 0])
    }

    /// `leave`.
    #[inline(always)]
    pub(crate) fn leave(&mut self) -> Result {
        self.sink.put([0xc9])
    }

    /// `ret`.
    #[inline(always)]
    pub(crate) fn ret(&mut self) -> Result {
        self.sink.put([0xc3])
    }

    /// `int3`.
    pub(crate) fn int3(&mut self) -> Result {
        self.sink.put([0xcc])
    }

    /// `endbr64`.
    pub(crate) fn endbr64(&mut self) -> Result {
        self.sink.put([0xf3, 0x0f, 0x1e, 0xfa])
    }

    /// What replaces an `endbr64` that must not be a target: `nop dword [rax - 42]`, whose last
    /// byte is a `udb`.
    pub(crate) fn endbr_poison(&mut self) -> Result {
        self.sink.put([0x0f, 0x1f, 0x40, 0xd6])
    }
}

/// Opcode extensions, encoded in place of a register.
const EXT0: Gpr = Gpr(0);
const EXT2: Gpr = Gpr(2);
const EXT5: Gpr = Gpr(5);
const EXT7: Gpr = Gpr(7);

/// Shift of the call-depth counter for a call (`RET_DEPTH_SHIFT`).
pub(crate) const RET_DEPTH_SHIFT: u8 = 5;

/// Length of the longest nop of one instruction (`ASM_NOP_MAX`), in bytes.
pub(crate) const ASM_NOP_MAX: u16 = 11;

/// The SIB byte of an operand whose base is RSP or R12.
const SIB: u8 = 0x24;

/// The REX prefix that 8-byte operands and upper registers need.
#[inline(always)]
const fn rex(width: Width, reg: Gpr, rm: Gpr) -> Option<u8> {
    let upper = (reg.high() << 2) | rm.high();
    match (width, upper) {
        (Width::B4, 0) => None,
        (Width::B4, _) => Some(0x40 | upper),
        (Width::B8, _) => Some(0x48 | upper),
    }
}

/// Reinterprets 64 bits as a signed number.
const fn signed(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}
