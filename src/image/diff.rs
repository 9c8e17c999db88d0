// SPDX-License-Identifier: GPL-2.0

//! An image of each builder for the same plan at the same place, compared.

use super::{
    BuiltImage,
    Tried, //
};
use crate::{
    builder::SAFETY,
    kapi::{
        c_builder::{
            self,
            CImage, //
        },
        code::Runnable,
        symbols::Symbols,
        tramp_image::FreshImage,
        uapi, //
    },
};
use kernel::{
    fmt,
    prelude::*, //
};

/// What the comparison with the C builder's image found.
#[derive(Clone, Copy)]
pub(crate) enum Comparison {
    /// C was not asked, or had no memory.
    None,
    /// Code bytes and records are equal.
    Identical,
    /// They are not.
    Different,
}

impl Comparison {
    /// As user space reads it (`RUST_FSESSION_REFERENCE_*`).
    pub(crate) fn to_uapi(self) -> u32 {
        match self {
            Self::None => uapi::REFERENCE_NONE,
            Self::Identical => uapi::REFERENCE_IDENTICAL,
            Self::Different => uapi::REFERENCE_DIFFERENT,
        }
    }
}

impl From<Option<Difference>> for Comparison {
    fn from(difference: Option<Difference>) -> Self {
        match difference {
            None => Self::Identical,
            Some(_) => Self::Different,
        }
    }
}

/// The first thing in which two images differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// One builder refuses what the other one builds, or for another reason.
    Errno,
    /// The size; C's, in bytes.
    Size(u32),
    /// The code, from this byte on.
    Code(usize),
    /// The skip records.
    Skips,
    /// The range of the frame pointer.
    FramePointer,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno => write!(f, "the error, or that there is one"),
            Self::Size(size) => write!(f, "it has {size} bytes"),
            Self::Code(at) => write!(f, "the code, from byte {at} on"),
            Self::Skips => write!(f, "the skip records"),
            Self::FramePointer => write!(f, "the range of the frame pointer"),
        }
    }
}

/// What the C builder made of a plan.
pub(crate) struct ByC {
    /// Of `arch_bpf_trampoline_size()`, in bytes.
    pub(crate) size: Result<u32>,
    /// Of `arch_prepare_bpf_trampoline()`.
    pub(crate) image: Result<CImage>,
}

/// Has the C builder build what `tried` tells, in the memory of `image`.
pub(crate) fn ask_c(tried: &Tried<'_>, image: &mut FreshImage, symbols: Symbols) -> ByC {
    let size = c_builder::measure(tried, symbols);
    let image = match size {
        // C is not to write where it takes more room than there is.
        Ok(size) if size > image.text().size() => Err(E2BIG),
        // What C cannot reach from where it measures may be in reach from here.
        _ => c_builder::build(tried, image),
    };
    ByC { size, image }
}

impl Tried<'_> {
    /// Compares with what C made of the same plan at the same place.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: C had no memory, so that there is nothing to compare with.
    pub(crate) fn diff(&self, c: &ByC) -> Result<Option<Difference>> {
        let size = match (self.image(), c.size) {
            (Ok(ours), Ok(c)) if ours.size() != c => Some(Difference::Size(c)),
            (_, Err(e)) if e == ENOMEM => return Err(e),
            // Where C measures, it may not reach what it reaches from the place of the image.
            _ => None,
        };
        let image = self.diff_image(&c.image)?;
        Ok(match image {
            // The size is the more precise difference.
            Some(Difference::Errno) => size.or(image),
            _ => image.or(size),
        })
    }

    /// As [`diff()`](Self::diff), for the image alone.
    pub(crate) fn diff_image(&self, c: &Result<CImage>) -> Result<Option<Difference>> {
        match (self.image(), c) {
            (Ok(ours), Ok(c)) => Ok(ours.diff(c)),
            (ours, c) => diff_errors(ours.err(), c.as_ref().err().copied()),
        }
    }
}

/// Compares the sizes that both builders measure, in bytes.
///
/// # Errors
///
/// As [`Tried::diff()`].
pub(crate) fn compare_sizes(ours: Result<u32>, c: Result<u32>) -> Result<Option<Difference>> {
    match (ours, c) {
        (Ok(ours), Ok(c)) => Ok((ours != c).then_some(Difference::Size(c))),
        (ours, c) => diff_errors(ours.err(), c.err()),
    }
}

fn diff_errors(ours: Option<Error>, c: Option<Error>) -> Result<Option<Difference>> {
    if c == Some(ENOMEM) {
        return Err(ENOMEM);
    }
    Ok((ours != c).then_some(Difference::Errno))
}

impl BuiltImage<'_> {
    fn diff(&self, c: &CImage) -> Option<Difference> {
        let (ours, theirs) = (self.code(), code_of(c));
        let mut bytes = ours.iter().zip(theirs);
        if let Some(at) = bytes.position(|(a, b)| a != b) {
            return Some(Difference::Code(at));
        }
        if ours.len() != theirs.len() || self.bytes().len() != c.bytes.len() {
            return Some(Difference::Size(c.size()));
        }
        if !self.skips().eq(c.skips.iter().copied()) {
            return Some(Difference::Skips);
        }
        (self.fp() != c.fp).then_some(Difference::FramePointer)
    }
}

/// The code of an image of the C builder, without the tail.
pub(crate) fn code_of(c: &CImage) -> &[u8] {
    let len = c.bytes.len().saturating_sub(SAFETY.into());
    c.bytes.get(..len).unwrap_or_default()
}
