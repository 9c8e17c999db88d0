// SPDX-License-Identifier: GPL-2.0

//! Two images for the same input at the same address, held against each other.

use crate::{
    builder::{
        self,
        Marks,
        Skip, //
    },
    kapi::{
        c_builder::Reference,
        tramp_image::SkipRecord, //
    },
    uapi, //
};
use kernel::{
    fmt,
    prelude::*, //
};

/// What became of the C builder's image for the same input.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// C could not be asked, or must not be.
    #[default]
    None,
    /// Code bytes and side records are equal.
    Identical,
    /// They are not.
    Different,
}

impl Verdict {
    /// The verdict as user space reads it (`RUST_FSESSION_REFERENCE_*`).
    pub(crate) fn to_uapi(self) -> u32 {
        match self {
            Self::None => uapi::REFERENCE_NONE,
            Self::Identical => uapi::REFERENCE_IDENTICAL,
            Self::Different => uapi::REFERENCE_DIFFERENT,
        }
    }
}

/// Everything that a builder gives: the code and what is recorded beside it.
pub(crate) struct Sides<'a> {
    /// Size of the image in bytes, as the C builder counts them.
    pub(crate) size: usize,
    code: &'a [u8],
    skips: &'a [SkipRecord],
    fp: (u32, u32),
}

/// The first thing in which two images differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// The size; the other one, in bytes.
    Size(usize),
    /// The code, from this byte on.
    Code(usize),
    /// The skip records.
    Skips,
    /// The range of the frame pointer.
    FramePointer,
}

impl<'a> Sides<'a> {
    /// The Rust builder's. `code` may be longer than the image.
    pub(crate) fn new(image: Marks, code: &'a [u8], skips: &'a [SkipRecord]) -> Self {
        Self {
            size: image.size().into(),
            code: code.get(..image.code_len.into()).unwrap_or(code),
            skips,
            fp: (image.fp_start.into(), image.fp_end.into()),
        }
    }

    /// The C builder's.
    pub(crate) fn of_reference(reference: &'a Reference) -> Self {
        Self {
            size: reference.size,
            code: &reference.code,
            skips: &reference.skips,
            fp: reference.fp,
        }
    }

    /// The bytes of code.
    pub(crate) fn code(&self) -> &'a [u8] {
        self.code
    }

    /// Takes over the records of another image, for one that has none.
    pub(crate) fn take_records_of(&mut self, other: &Sides<'a>) {
        self.skips = other.skips;
        self.fp = other.fp;
    }

    /// Finds the first difference.
    pub(crate) fn judge(&self, other: &Self) -> core::result::Result<(), Difference> {
        let mut bytes = self.code.iter().zip(other.code);
        if let Some(at) = bytes.position(|(a, b)| a != b) {
            return Err(Difference::Code(at));
        }
        if self.size != other.size || self.code.len() != other.code.len() {
            return Err(Difference::Size(other.size));
        }
        if self.skips != other.skips {
            return Err(Difference::Skips);
        }
        if self.fp != other.fp {
            return Err(Difference::FramePointer);
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => write!(f, "it has {size} bytes"),
            Self::Code(at) => write!(f, "the code, from byte {at} on"),
            Self::Skips => write!(f, "the skip records"),
            Self::FramePointer => write!(f, "the range of the frame pointer"),
        }
    }
}

/// Turns the builder's skip records, which count from the image's start, into addresses.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn skip_records(start: u64, skips: &[Skip]) -> Result<KVec<SkipRecord>> {
    let mut records = KVec::with_capacity(skips.len(), GFP_KERNEL)?;
    for skip in skips {
        let record = SkipRecord {
            prog: skip.prog,
            nop: start.wrapping_add(skip.nop.into()),
            target: start.wrapping_add(skip.target.into()),
        };
        records.push(record, GFP_KERNEL)?;
    }
    Ok(records)
}

impl From<builder::Error> for Error {
    fn from(error: builder::Error) -> Self {
        Error::from_errno(error.to_errno())
    }
}
