// SPDX-License-Identifier: GPL-2.0

//! Assembler for the instructions of a trampoline image.
//!
//! Each method of [`Asm`] emits one instruction, in the encoding that the C JIT chooses. Operands
//! are in Intel order: the destination comes first.

mod flow;
mod operand;

use operand::signed;
pub(crate) use operand::{
    distance, takes_8_bytes, Cond, Gpr, Label, Mem, ShortJump, Slot, R8, R9, RAX, RBP, RBX, RCX,
    RDI, RDX, RSI, RSP,
};

use super::draft::Draft;
use super::error::Result;
use super::sequence::BLOCK;
use super::writer::{Buffer, Writer};
use super::{CallDepth, Program};

/// Operand size of an instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    B4,
    B8,
}

/// An assembler.
///
/// All of it is inlined into the generator, where registers and most operands are known, so that
/// little is left of an instruction but the store of its bytes.
pub(crate) struct Asm<'a, B: ?Sized> {
    code: Writer<'a, B>,
    call_depth: Option<CallDepth>,
    draft: &'a mut Draft,
}

/// Encodings.
impl<'a, B: Buffer + ?Sized> Asm<'a, B> {
    /// Creates an assembler whose calls do the accounting for `call_depth`, if any.
    pub(crate) const fn new(
        code: Writer<'a, B>,
        call_depth: Option<CallDepth>,
        draft: &'a mut Draft,
    ) -> Self {
        Self {
            code,
            call_depth,
            draft,
        }
    }

    /// Number of bytes emitted.
    #[inline(always)]
    pub(crate) fn pos(&self) -> u16 {
        self.code.pos()
    }

    /// Address of the next instruction.
    pub(crate) fn address(&self) -> u64 {
        self.code.address(0)
    }

    /// `opcode rm, reg` between registers.
    #[inline(always)]
    fn reg(&mut self, width: Width, opcode: u8, reg: Gpr, rm: Gpr) -> Result {
        let modrm = 0xc0 | (reg.low() << 3) | rm.low();
        match rex(width, reg, rm) {
            Some(rex) => self.code.put([rex, opcode, modrm]),
            None => self.code.put([opcode, modrm]),
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
            (Some(rex), false) => self.code.put([rex, opcode, modrm, disp]),
            (Some(rex), true) => self.code.put([rex, opcode, modrm, SIB, disp]),
            (None, false) => self.code.put([opcode, modrm, disp]),
            (None, true) => self.code.put([opcode, modrm, SIB, disp]),
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
            (Some(rex), false) => self.code.put_both([rex, opcode, modrm], disp),
            (Some(rex), true) => self.code.put_both([rex, opcode, modrm, SIB], disp),
            (None, false) => self.code.put_both([opcode, modrm], disp),
            (None, true) => self.code.put_both([opcode, modrm, SIB], disp),
        }
    }

    /// A 4-byte opcode that includes a register number.
    #[inline(always)]
    fn opcode_reg(&mut self, opcode: u8, reg: Gpr) -> Result {
        let opcode = opcode | reg.low();
        match rex(Width::B4, EXT0, reg) {
            Some(rex) => self.code.put([rex, opcode]),
            None => self.code.put([opcode]),
        }
    }

    /// Displacement of `target` from the end of an instruction that is `left` bytes away.
    #[inline(always)]
    fn rel32(&self, target: u64, left: u16) -> Result<i32> {
        distance(self.code.address(left), target)
    }

    /// `opcode target`, for a target outside of the image.
    #[inline(always)]
    fn branch(&mut self, opcode: u8, target: u64) -> Result {
        let rel32 = self.rel32(target, 5)?;
        self.code.put_both([opcode], rel32.to_le_bytes())?;
        self.draft.rel32_ends(self.code.pos())
    }

    /// `opcode gs:[rip + ...]`, in front of `left` bytes of an immediate.
    fn gs_rip(&mut self, opcode: [u8; 2], target: u64, left: u16) -> Result {
        let [opcode, modrm] = opcode;
        let rel32 = self.rel32(target, left.saturating_add(8))?;
        self.code
            .put_both([0x65, 0x48, opcode, modrm], rel32.to_le_bytes())?;
        self.draft.rel32_ends(self.code.pos())
    }
}

/// What is noted, and left to be copied.
impl<B: Buffer + ?Sized> Asm<'_, B> {
    /// What is noted of the code.
    #[inline(always)]
    pub(super) fn draft(&mut self) -> &mut Draft {
        self.draft
    }

    /// Leaves the next bytes to a copy of the last call sequence that was emitted, if that of
    /// `program` can be one. Returns the position behind the call of the exit function.
    #[inline(always)]
    pub(super) fn leave_to_copy(
        &mut self,
        program: &Program,
        saves: bool,
        decides: bool,
    ) -> Result<Option<u16>> {
        if !self.code.has_room(BLOCK) {
            return Ok(None);
        }
        let at = self.pos();
        let Some(like) = self.draft.copy(program, saves, decides)? else {
            return Ok(None);
        };
        distance(
            self.code.address(like.entry.wrapping_add(4)),
            program.entry.addr,
        )?;
        self.code.skip(like.len)?;
        Ok(Some(at.wrapping_add(like.exited)))
    }
}

/// Moves and arithmetic.
impl<B: Buffer + ?Sized> Asm<'_, B> {
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
            self.code.put(imm.to_le_bytes())
        } else {
            let opcode = [0x48 | dst.high(), 0xb8 | dst.low()];
            self.code.put_both(opcode, imm.to_le_bytes())
        }
    }

    /// `mov dst, image`, the address of the `struct bpf_tramp_image`.
    pub(crate) fn mov_image(&mut self, dst: Gpr, image: u64) -> Result {
        self.mov_imm(dst, image)?;
        self.draft.image_ends(self.code.pos())
    }

    /// `mov dst, imm` of 4 bytes, which clears the upper half of `dst`.
    #[inline(always)]
    pub(crate) fn mov32_imm(&mut self, dst: Gpr, imm: u32) -> Result {
        self.opcode_reg(0xb8, dst)?;
        self.code.put(imm.to_le_bytes())
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
        self.code.put(imm.to_le_bytes())
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
                self.code.put(imm.to_le_bytes())
            }
            Err(_) => {
                self.reg(Width::B8, 0x81, operation, dst)?;
                self.code.put(imm.to_le_bytes())
            }
        }
    }

    /// `sub eax, imm`, which clears the upper half of RAX.
    pub(crate) fn sub_eax_imm(&mut self, imm: u32) -> Result {
        self.code.put([0x2d])?;
        self.code.put(imm.to_le_bytes())
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
        self.code.put(imm.to_le_bytes())
    }

    /// A nop of `len` bytes, in as few instructions as the kernel's nops allow (`x86_nops`).
    #[inline(always)]
    pub(crate) fn nop(&mut self, len: u16) -> Result {
        match len {
            0 => Ok(()),
            1 => self.code.put([0x90]),
            2 => self.code.put([0x66, 0x90]),
            3 => self.code.put([0x0f, 0x1f, 0x00]),
            4 => self.code.put([0x0f, 0x1f, 0x40, 0]),
            5 => self.code.put([0x0f, 0x1f, 0x44, 0, 0]),
            6 => self.code.put([0x66, 0x0f, 0x1f, 0x44, 0, 0]),
            7 => self.code.put([0x0f, 0x1f, 0x80, 0, 0, 0, 0]),
            8 => self.code.put([0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
            9 => self.code.put([0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
            10 => self.code.put([0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]),
            _ => self.long_nop(len),
        }
    }

    /// The same, of a length that takes more than one instruction.
    fn long_nop(&mut self, len: u16) -> Result {
        let mut left = len;
        while left >= ASM_NOP_MAX {
            self.code
                .put([0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0])?;
            left = left.saturating_sub(ASM_NOP_MAX);
        }
        // Shorter than the longest one.
        self.nop(left)
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
