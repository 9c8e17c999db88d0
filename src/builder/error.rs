// SPDX-License-Identifier: GPL-2.0

//! Errors of the builder.

/// The reason why a request gets no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The image does not fit its buffer or a page, or there are too many programs (`E2BIG`).
    ///
    /// C returns `E2BIG` for too many programs. For an image beyond its page it warns and returns
    /// `EFAULT`, after it has written past the end.
    TooBig,
    /// A target is beyond the reach of a 32-bit displacement (`EINVAL`).
    OutOfRange,
    /// The request is malformed or inconsistent (`EINVAL`).
    Invalid,
    /// The arguments take more than [`MAX_ARGS`](super::MAX_ARGS) 8-byte words (`ENOTSUPP`).
    TooManyRegs,
    /// The image would have a [quirk](super::Quirks) that is switched off (`EOPNOTSUPP`).
    Uncovered,
}

impl Error {
    /// The errno value, negative as the kernel returns it.
    pub const fn to_errno(self) -> i32 {
        match self {
            Self::TooBig => -7,
            Self::OutOfRange | Self::Invalid => -22,
            Self::TooManyRegs => -524,
            Self::Uncovered => -95,
        }
    }
}

/// Result of the builder's functions.
pub(super) type Result<T = ()> = core::result::Result<T, Error>;
