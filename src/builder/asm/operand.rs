// SPDX-License-Identifier: GPL-2.0

//! Operands of instructions: registers, memory, labels.

use super::super::error::{Error, Result};
use core::iter::successors;

/// A 64-bit general purpose register.
///
/// # Invariants
///
/// The number is 0 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gpr(pub(super) u8);

pub(crate) const RAX: Gpr = Gpr(0);
pub(crate) const RCX: Gpr = Gpr(1);
pub(crate) const RDX: Gpr = Gpr(2);
pub(crate) const RBX: Gpr = Gpr(3);
pub(crate) const RSP: Gpr = Gpr(4);
pub(crate) const RBP: Gpr = Gpr(5);
pub(crate) const RSI: Gpr = Gpr(6);
pub(crate) const RDI: Gpr = Gpr(7);
pub(crate) const R8: Gpr = Gpr(8);
pub(crate) const R9: Gpr = Gpr(9);

impl Gpr {
    /// All registers, for tests: images only use those up to `R9`.
    #[cfg(test)]
    #[rustfmt::skip]
    pub(crate) const ALL: [Self; 16] = [
        Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7),
        Self(8), Self(9), Self(10), Self(11), Self(12), Self(13), Self(14), Self(15),
    ];

    /// The three bits in a ModR/M byte.
    pub(super) const fn low(self) -> u8 {
        self.0 & 7
    }

    /// Whether an operand with this base has a SIB byte: RSP and R12.
    pub(super) const fn has_sib(self) -> bool {
        self.low() == RSP.low()
    }

    /// The fourth bit, in a REX prefix.
    pub(super) const fn high(self) -> u8 {
        self.0 >> 3
    }
}

/// The operand `[base + disp]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mem {
    pub(crate) base: Gpr,
    pub(crate) disp: i32,
}

/// The operand `[rbp + disp]`, which is all that images address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) disp: i32,
}

impl Slot {
    /// The operand `words` 8-byte words higher.
    #[inline(always)]
    pub(crate) fn up(self, words: impl Into<u16>) -> Result<Self> {
        let bytes = words.into().checked_mul(8);
        self.up_bytes(bytes.ok_or(Error::OutOfRange)?)
    }

    /// This operand and those above it, one 8-byte word after the other.
    #[inline(always)]
    pub(crate) fn upwards(self) -> impl Iterator<Item = Self> {
        successors(Some(self), |slot| slot.up_bytes(8).ok())
    }

    /// The operand `bytes` higher.
    #[inline(always)]
    pub(crate) fn up_bytes(self, bytes: u16) -> Result<Self> {
        let disp = self.disp.checked_add(i32::from(bytes));
        Ok(Self {
            disp: disp.ok_or(Error::OutOfRange)?,
        })
    }
}

impl From<Slot> for Mem {
    #[inline(always)]
    fn from(slot: Slot) -> Self {
        Self {
            base: RBP,
            disp: slot.disp,
        }
    }
}

/// Whether `mov` takes `imm` in 8 bytes: it is neither zero- nor sign-extended from 4.
#[inline(always)]
pub(crate) fn takes_8_bytes(imm: u64) -> bool {
    u32::try_from(imm).is_err() && i32::try_from(signed(imm)).is_err()
}

/// Displacement from `end` to `target`; [`Error::OutOfRange`] if it does not fit.
#[inline(always)]
pub(crate) fn distance(end: u64, target: u64) -> Result<i32> {
    i32::try_from(signed(target.wrapping_sub(end))).map_err(|_| Error::OutOfRange)
}

/// Reinterprets 64 bits as a signed number.
pub(super) const fn signed(bits: u64) -> i64 {
    i64::from_ne_bytes(bits.to_ne_bytes())
}

/// Condition of a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cond {
    /// Equal, or zero.
    E,
    /// Not equal, or not zero.
    Ne,
}

impl Cond {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::E => 0x4,
            Self::Ne => 0x5,
        }
    }
}

/// Target of forward jumps over any distance.
///
/// Binding it to its position consumes it. Until then the jumps are a list: each one has the end of
/// that before it in place of its displacement.
#[must_use = "a jump to a label that is never bound goes astray"]
pub(crate) struct Label {
    /// End of the last jump, 0 if there is none.
    pub(super) last: u16,
}

impl Label {
    pub(crate) const fn new() -> Self {
        Self { last: 0 }
    }
}

/// A forward jump over at most 127 bytes, whose target is to be bound.
#[must_use = "a jump that is never bound goes astray"]
pub(crate) struct ShortJump {
    /// Its end.
    pub(super) end: u16,
}
