// SPDX-License-Identifier: GPL-2.0

//! Why a request gets no image.

/// The reason for which a request gets no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The image does not fit its buffer or a page, or there are too many programs (`E2BIG`).
    ///
    /// C says `E2BIG` for too many programs. For an image beyond its page it warns and says
    /// `EFAULT`, once it has written past the end.
    TooBig,
    /// A 32-bit displacement does not reach from the image to its target (`EINVAL`).
    OutOfRange,
    /// The request is malformed or contradicts itself (`EINVAL`).
    Invalid,
    /// The arguments take more than [`MAX_ARGS`](super::MAX_ARGS) 8-byte words (`ENOTSUPP`).
    TooManyRegs,
    /// The image would show a [quirk](super::Quirks) that is switched off (`EOPNOTSUPP`).
    Uncovered,
}

impl Error {
    /// The errno value of this error, negative as the kernel returns it.
    pub const fn to_errno(self) -> i32 {
        match self {
            Self::TooBig => -7,
            Self::OutOfRange | Self::Invalid => -22,
            Self::TooManyRegs => -524,
            Self::Uncovered => -95,
        }
    }
}

/// What everything in this room returns.
pub(super) type Result<T = ()> = core::result::Result<T, Error>;
