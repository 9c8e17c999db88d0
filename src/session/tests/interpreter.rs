// SPDX-License-Identifier: GPL-2.0

//! An interpreter for the BPF instructions that replace a kfunc call: a few instructions without
//! branches that read and write words near `ctx`.
//!
//! Semantics: `Documentation/bpf/standardization/instruction-set.rst`

/// The interpreter does not support an instruction or an operand of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// The bytes of an instruction.
pub(crate) type Bytes = [u8; 8];

/// Registers, and memory as pairs of address and word.
pub(crate) struct Bpf<'m> {
    pub(crate) regs: [u64; 11],
    pub(crate) memory: &'m mut [(u64, u64)],
}

impl Bpf<'_> {
    /// Runs all of `insns` and returns R0.
    ///
    /// # Errors
    ///
    /// [`Unsupported`]: an instruction is unknown, has a value in a field that it does not use, or
    /// accesses memory that does not exist.
    pub(crate) fn run(
        &mut self,
        insns: impl IntoIterator<Item = Bytes>,
    ) -> Result<u64, Unsupported> {
        for insn in insns {
            self.step(insn).ok_or(Unsupported)?;
        }
        self.regs.first().copied().ok_or(Unsupported)
    }

    fn step(&mut self, [code, regs, off0, off1, i0, i1, i2, i3]: Bytes) -> Option<()> {
        let (dst, src) = (usize::from(regs & 0xf), usize::from(regs >> 4));
        let off = i64::from(i16::from_le_bytes([off0, off1]));
        let imm = i32::from_le_bytes([i0, i1, i2, i3]);
        // Sign-extended, as for all 64-bit operations.
        let imm = 0_u64.wrapping_add_signed(i64::from(imm));
        let (a, b) = (*self.regs.get(dst)?, *self.regs.get(src)?);

        let result = match code {
            // BPF_LDX | BPF_MEM | BPF_DW
            0x79 if imm == 0 => *self.word(b.wrapping_add_signed(off))?,
            // BPF_STX | BPF_MEM | BPF_DW
            0x7b if imm == 0 => {
                *self.word(a.wrapping_add_signed(off))? = b;
                return Some(());
            }
            // BPF_ALU64 with BPF_X: BPF_ADD, BPF_SUB
            0x0f if (off, imm) == (0, 0) => a.wrapping_add(b),
            0x1f if (off, imm) == (0, 0) => a.wrapping_sub(b),
            // BPF_ALU64 with BPF_K: BPF_AND, BPF_LSH, BPF_RSH, BPF_NEG, BPF_MOV
            _ if off != 0 || src != 0 => return None,
            0x57 => a & imm,
            0x67 => a.checked_shl(u32::try_from(imm).ok()?)?,
            0x77 => a.checked_shr(u32::try_from(imm).ok()?)?,
            0x87 if imm == 0 => a.wrapping_neg(),
            0xb7 => imm,
            _ => return None,
        };
        *self.regs.get_mut(dst)? = result;
        Some(())
    }

    /// The word at `addr`.
    fn word(&mut self, addr: u64) -> Option<&mut u64> {
        let word = self.memory.iter_mut().find(|(at, _)| *at == addr);
        word.map(|(_, word)| word)
    }
}
