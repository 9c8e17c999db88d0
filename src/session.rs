// SPDX-License-Identifier: GPL-2.0

//! The function metadata word and the session kfuncs that read it.
//!
//! A trampoline image keeps the word at `ctx[-1]`, one word below the arguments:
//!
//! ```text
//!  63           62 .. 16   15 .. 8         7 .. 0
//! +------------+----------+---------------+---------------------+
//! | is return  | 0        | cookie index  | number of arguments |
//! +------------+----------+---------------+---------------------+
//! ```
//!
//! The number of arguments counts 8-byte words. The cookie index is the offset of the program's
//! session cookie below `ctx`, in 8-byte words: the cookie is at `ctx[-index]`.
//!
//! C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)

#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[cfg(any(test, CONFIG_KUNIT = "y"))]
pub(crate) mod tests;

/// The function metadata word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncMeta {
    nr_args: u8,
    cookie_index: u8,
    is_return: bool,
}

impl FuncMeta {
    /// Lowest bit of the cookie index (`BPF_TRAMP_COOKIE_INDEX_SHIFT`).
    pub const COOKIE_INDEX_SHIFT: u32 = 8;
    /// The bit that is set at return and clear at entry (`BPF_TRAMP_IS_RETURN_SHIFT`).
    pub const IS_RETURN_SHIFT: u32 = 63;

    /// The word at entry of a function with `nr_args` words of arguments, for a program without
    /// session cookie.
    pub const fn new(nr_args: u8) -> Self {
        Self {
            nr_args,
            cookie_index: 0,
            is_return: false,
        }
    }

    /// The word for a program whose session cookie is at `ctx[-index]`.
    pub const fn with_cookie(self, index: u8) -> Self {
        Self {
            cookie_index: index,
            ..self
        }
    }

    /// The word at return of the function.
    pub const fn at_return(self) -> Self {
        Self {
            is_return: true,
            ..self
        }
    }

    /// The word in memory.
    pub fn bits(self) -> u64 {
        u64::from(self.nr_args)
            | (u64::from(self.cookie_index) << Self::COOKIE_INDEX_SHIFT)
            | (u64::from(self.is_return) << Self::IS_RETURN_SHIFT)
    }
}

/// A kfunc that sessions call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKfunc {
    /// `bool bpf_session_is_return(void *ctx)`: whether the program runs at return.
    IsReturn,
    /// `u64 *bpf_session_cookie(void *ctx)`: the program's session cookie.
    Cookie,
}

impl SessionKfunc {
    /// The instructions that replace a call in a session (`BPF_TRACE_FSESSION` and
    /// `BPF_TRACE_FSESSION_MULTI`): `ctx` is in r1, the result goes to r0.
    ///
    /// kprobe and uprobe sessions have no metadata word, so their calls are not replaced.
    ///
    /// Counterpart of `bpf_fixup_kfunc_call()` of `kernel/bpf/verifier.c`.
    pub const fn inlined(self) -> &'static [Insn] {
        match self {
            Self::IsReturn => IS_RETURN,
            Self::Cookie => COOKIE,
        }
    }
}

/// `r0 = ctx[-1] >> IS_RETURN_SHIFT & 1`
const IS_RETURN: &[Insn] = &[
    Insn::load(R0, R1, -8),
    Insn::rsh(R0, FuncMeta::IS_RETURN_SHIFT),
    Insn::alu_imm(Alu::And, R0, 1),
];

/// `r0 = &ctx[-(ctx[-1] >> COOKIE_INDEX_SHIFT & 0xff)]`, as `-(index * 8 - ctx)`
const COOKIE: &[Insn] = &[
    Insn::load(R0, R1, -8),
    Insn::rsh(R0, FuncMeta::COOKIE_INDEX_SHIFT),
    Insn::alu_imm(Alu::And, R0, 0xff),
    Insn::alu_imm(Alu::Lsh, R0, 3),
    Insn::alu_reg(Alu::Sub, R0, R1),
    Insn::alu_imm(Alu::Neg, R0, 0),
];

const R0: u8 = bpf::BPF_REG_0;
const R1: u8 = bpf::BPF_REG_1;

/// The parts of an instruction's code, under the kernel's names.
///
/// C headers: [`include/uapi/linux/bpf.h`](srctree/include/uapi/linux/bpf.h),
/// [`include/uapi/linux/bpf_common.h`](srctree/include/uapi/linux/bpf_common.h)
pub(crate) mod bpf {
    pub(crate) const BPF_REG_0: u8 = 0;
    pub(crate) const BPF_REG_1: u8 = 1;

    // Classes.
    pub(crate) const BPF_LDX: u8 = 0x01;
    pub(crate) const BPF_ALU64: u8 = 0x07;

    // Size and mode of a load.
    pub(crate) const BPF_DW: u8 = 0x18;
    pub(crate) const BPF_MEM: u8 = 0x60;

    // Source of the second operand: immediate or register.
    pub(crate) const BPF_K: u8 = 0x00;
    pub(crate) const BPF_X: u8 = 0x08;

    // Operations.
    pub(crate) const BPF_SUB: u8 = 0x10;
    pub(crate) const BPF_AND: u8 = 0x50;
    pub(crate) const BPF_LSH: u8 = 0x60;
    pub(crate) const BPF_RSH: u8 = 0x70;
    pub(crate) const BPF_NEG: u8 = 0x80;
}

/// Operations of 64-bit arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alu {
    Sub,
    And,
    Lsh,
    Rsh,
    Neg,
}

impl Alu {
    /// `BPF_OP` of the instruction's code.
    const fn bits(self) -> u8 {
        match self {
            Self::Sub => bpf::BPF_SUB,
            Self::And => bpf::BPF_AND,
            Self::Lsh => bpf::BPF_LSH,
            Self::Rsh => bpf::BPF_RSH,
            Self::Neg => bpf::BPF_NEG,
        }
    }
}

/// A BPF instruction (`struct bpf_insn`).
///
/// C header: [`include/uapi/linux/bpf.h`](srctree/include/uapi/linux/bpf.h)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    code: u8,
    dst: u8,
    src: u8,
    off: i16,
    imm: i32,
}

impl Insn {
    /// `dst = *(u64 *)(src + off)`
    const fn load(dst: u8, src: u8, off: i16) -> Self {
        Self {
            code: bpf::BPF_LDX | bpf::BPF_MEM | bpf::BPF_DW,
            dst,
            src,
            off,
            imm: 0,
        }
    }

    /// `dst = dst alu imm`
    const fn alu_imm(alu: Alu, dst: u8, imm: i32) -> Self {
        Self {
            code: bpf::BPF_ALU64 | bpf::BPF_K | alu.bits(),
            dst,
            src: 0,
            off: 0,
            imm,
        }
    }

    /// `dst = dst >> bits`
    const fn rsh(dst: u8, bits: u32) -> Self {
        Self::alu_imm(Alu::Rsh, dst, i32::from_ne_bytes(bits.to_ne_bytes()))
    }

    /// `dst = dst alu src`
    const fn alu_reg(alu: Alu, dst: u8, src: u8) -> Self {
        Self {
            code: bpf::BPF_ALU64 | bpf::BPF_X | alu.bits(),
            dst,
            src,
            off: 0,
            imm: 0,
        }
    }

    /// The instruction in memory.
    pub const fn to_bytes(self) -> [u8; 8] {
        let [off_low, off_high] = self.off.to_le_bytes();
        let [a, b, c, d] = self.imm.to_le_bytes();
        let regs = self.dst | (self.src << 4);
        [self.code, regs, off_low, off_high, a, b, c, d]
    }
}
