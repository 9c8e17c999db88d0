// SPDX-License-Identifier: GPL-2.0

//! The flags that a trampoline image is built with.

use super::error::{Error, Result};
use core::ops::BitOr;

/// What an image has to do besides running programs (`BPF_TRAMP_F_*`).
///
/// The bits have the kernel's values.
///
/// C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Put the arguments back into their registers before going on to the function.
    pub const RESTORE_REGS: Self = Self(1 << 0);
    /// Call the function from the image, between the entry and the exit programs.
    pub const CALL_ORIG: Self = Self(1 << 1);
    /// Leave to the caller of the function rather than into the function.
    pub const SKIP_FRAME: Self = Self(1 << 2);
    /// Keep the function's address where `bpf_get_func_ip()` reads it.
    pub const IP_ARG: Self = Self(1 << 3);
    /// Return what the entry program returned (struct_ops).
    pub const RET_FENTRY_RET: Self = Self(1 << 4);
    /// Call the function at the address on the stack, which another user of ftrace has put there.
    pub const ORIG_STACK: Self = Self(1 << 5);
    /// The function is live patched as well. Nothing in the image depends on it.
    pub const SHARE_IPMODIFY: Self = Self(1 << 6);
    /// Carry the tail call counter from the caller to the function, both of them BPF programs.
    pub const TAIL_CALL_CTX: Self = Self(1 << 7);
    /// The image is the target of an indirect call (struct_ops).
    pub const INDIRECT: Self = Self(1 << 8);

    /// Every flag that the builder knows.
    const ALL: u32 = (1 << 9) - 1;

    /// Takes the kernel's bits.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: `bits` holds a flag that this builder does not know. C ignores those.
    pub const fn from_bits(bits: u32) -> Result<Self> {
        if bits & !Self::ALL == 0 {
            Ok(Self(bits))
        } else {
            Err(Error::Invalid)
        }
    }

    /// The kernel's bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Refuses flags that do not go together.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: an indirect image is told of a stub, not of a function that it could
    /// call or name. C warns of the bug in its caller and goes on.
    pub const fn check(self) -> Result {
        let indirect = Self(Self::INDIRECT.0 | Self::RET_FENTRY_RET.0);
        if self.contains(Self::INDIRECT) && !indirect.contains(self) {
            return Err(Error::Invalid);
        }
        Ok(())
    }

    /// Whether the image has a place for a return value at `[rbp - 8]`.
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
