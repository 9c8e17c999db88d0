// SPDX-License-Identifier: GPL-2.0

//! Flags of a trampoline image.

use super::error::{Error, Result};
use core::ops::BitOr;

/// Flags of a trampoline image (`BPF_TRAMP_F_*`).
///
/// The bits have the kernel's values.
///
/// C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Restore the argument registers before returning into the function.
    pub const RESTORE_REGS: Self = Self(1 << 0);
    /// Call the function between the entry and the exit programs.
    pub const CALL_ORIG: Self = Self(1 << 1);
    /// Return to the function's caller rather than into the function.
    pub const SKIP_FRAME: Self = Self(1 << 2);
    /// Store the function's address for `bpf_get_func_ip()`.
    pub const IP_ARG: Self = Self(1 << 3);
    /// Return the entry program's return value (struct_ops).
    pub const RET_FENTRY_RET: Self = Self(1 << 4);
    /// Call the function whose address is on the stack, where another ftrace user stored it.
    pub const ORIG_STACK: Self = Self(1 << 5);
    /// The function is live patched as well. The image does not depend on this flag.
    pub const SHARE_IPMODIFY: Self = Self(1 << 6);
    /// Pass the tail call counter from the caller to the function; both are BPF programs.
    pub const TAIL_CALL_CTX: Self = Self(1 << 7);
    /// The image is called indirectly (struct_ops).
    pub const INDIRECT: Self = Self(1 << 8);

    /// All known flags.
    const ALL: u32 = (1 << 9) - 1;

    /// Converts from the kernel's bits.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: `bits` has an unknown flag. C ignores those.
    pub const fn from_bits(bits: u32) -> Result<Self> {
        if bits & !Self::ALL == 0 {
            Ok(Self(bits))
        } else {
            Err(Error::Invalid)
        }
    }

    /// Converts to the kernel's bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Checks that the flags can be combined.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: an indirect image has no function that it could call, name or return
    /// into. C warns of this and continues.
    pub const fn check(self) -> Result {
        let indirect = Self(Self::INDIRECT.0 | Self::RET_FENTRY_RET.0);
        if self.contains(Self::INDIRECT) && !indirect.contains(self) {
            return Err(Error::Invalid);
        }
        Ok(())
    }

    /// Whether the frame has a slot for the return value, at `[rbp - 8]`.
    pub(super) const fn keep_return_value(self) -> bool {
        self.contains(Self::CALL_ORIG) || self.contains(Self::RET_FENTRY_RET)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
