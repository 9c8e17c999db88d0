// SPDX-License-Identifier: GPL-2.0

//! Operands of instructions: registers, memory, labels.

use super::super::error::{Error, Result};

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

/// Target of up to `N` forward jumps.
///
/// Binding it to its position consumes it.
#[must_use = "a jump to a label that is never bound goes astray"]
pub(crate) struct Label<const N: usize> {
    jumps: [Jump; N],
    len: usize,
}

/// A jump without its displacement.
#[derive(Clone, Copy)]
pub(super) struct Jump {
    /// End of the displacement, which is relative to here.
    pub(super) end: u16,
    pub(super) reach: Reach,
}

#[derive(Clone, Copy)]
pub(super) enum Reach {
    Short,
    Near,
}

impl<const N: usize> Label<N> {
    pub(crate) const fn new() -> Self {
        const NONE: Jump = Jump {
            end: 0,
            reach: Reach::Near,
        };
        Self {
            jumps: [NONE; N],
            len: 0,
        }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, jump: Jump) -> Result {
        *self.jumps.get_mut(self.len).ok_or(Error::OutOfRange)? = jump;
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// The jumps so far.
    #[inline(always)]
    pub(super) fn into_jumps(self) -> impl Iterator<Item = Jump> {
        self.jumps.into_iter().take(self.len)
    }
}
