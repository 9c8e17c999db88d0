// SPDX-License-Identifier: GPL-2.0

//! Addresses in an image that depend on its place, and how they change when it gets another one.

use super::error::{Error, Result};
use super::MAX_LINKS;

/// Most displacements in an image. A call has one, and two more with call-depth tracking; there are
/// three calls for each program, and less than seven others.
pub const MAX_REL32: usize = MAX_LINKS.saturating_mul(9).saturating_add(24);

/// How often an image has the address of its `struct bpf_tramp_image`: at entry and at exit.
const MAX_IMAGE: usize = 2;

/// What depends on the place of an image, as offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relocations {
    /// Number of displacements, whose offsets are in a list of their own.
    nr_rel32: u16,
    /// The 8-byte addresses of the `struct bpf_tramp_image`.
    image: [Option<u16>; MAX_IMAGE],
    /// The image has a shorter one, which no other address may replace.
    fixed: bool,
}

/// Notes relocations, if there is a list for them.
pub(crate) struct Recorder<'a> {
    rel32: Option<&'a mut [u16]>,
    found: Relocations,
}

impl<'a> Recorder<'a> {
    /// Notes nothing.
    pub(crate) fn none() -> Self {
        Self {
            rel32: None,
            found: Relocations::default(),
        }
    }

    /// Notes displacements in `rel32`, which has [`MAX_REL32`] elements.
    pub(super) fn over(rel32: &'a mut [u16]) -> Self {
        Self {
            rel32: Some(rel32),
            ..Self::none()
        }
    }

    /// A displacement ends at `end`.
    #[inline(always)]
    pub(super) fn rel32(&mut self, end: u16) -> Result {
        if let Some(rel32) = &mut self.rel32 {
            let nr = usize::from(self.found.nr_rel32);
            *rel32.get_mut(nr).ok_or(Error::TooBig)? = end.saturating_sub(4);
            self.found.nr_rel32 = self.found.nr_rel32.saturating_add(1);
        }
        Ok(())
    }

    /// An address of the `struct bpf_tramp_image` ends at `end`.
    pub(super) fn image(&mut self, end: u16) -> Result {
        let free = self.found.image.iter_mut().find(|at| at.is_none());
        *free.ok_or(Error::Invalid)? = Some(end.saturating_sub(8));
        Ok(())
    }

    /// An address of the `struct bpf_tramp_image` takes less than 8 bytes.
    pub(super) fn fix(&mut self) {
        self.found.fixed = true;
    }

    /// What was noted.
    pub(super) fn found(&self) -> Relocations {
        self.found
    }
}

/// An image, as it was built to run at `from`.
pub struct Movable<'a> {
    /// Its code.
    pub code: &'a mut [u8],
    /// The list of its displacements.
    pub rel32: &'a [u16],
    /// What [`draft`](super::draft) found.
    pub relocations: Relocations,
    /// The address.
    pub from: u64,
}

impl Movable<'_> {
    /// Makes the image run at `to` instead, with the `struct bpf_tramp_image` at address `image`: it
    /// is what [`build`](super::build) would build for that.
    ///
    /// # Errors
    ///
    /// After an error the code is undefined, and the image has to be built:
    ///
    /// - [`Error::OutOfRange`]: as for [`build`](super::build).
    /// - [`Error::Invalid`]: other instructions are needed, for another alignment or for an address
    ///   of the `struct bpf_tramp_image` that takes less than 8 bytes.
    pub fn relocate(self, to: u64, image: u64) -> Result {
        let by = self.from.wrapping_sub(to);
        if by & 0xf != 0 || self.relocations.fixed || !takes_8_bytes(image) {
            return Err(Error::Invalid);
        }
        let by = i64::from_ne_bytes(by.to_ne_bytes());
        for &at in self.rel32.iter().take(self.relocations.nr_rel32.into()) {
            let field = field(self.code, at)?;
            let distance = i64::from(i32::from_le_bytes(*field)).checked_add(by);
            let distance = distance.and_then(|distance| i32::try_from(distance).ok());
            *field = distance.ok_or(Error::OutOfRange)?.to_le_bytes();
        }
        for at in self.relocations.image.into_iter().flatten() {
            *field(self.code, at)? = image.to_le_bytes();
        }
        Ok(())
    }
}

fn field<const N: usize>(code: &mut [u8], at: u16) -> Result<&mut [u8; N]> {
    let rest = code.get_mut(usize::from(at)..);
    rest.and_then(|rest| rest.first_chunk_mut())
        .ok_or(Error::Invalid)
}

/// Whether `imm` is an immediate of 8 bytes: neither zero- nor sign-extended from 4.
pub(super) fn takes_8_bytes(imm: u64) -> bool {
    let signed = i64::from_ne_bytes(imm.to_ne_bytes());
    u32::try_from(imm).is_err() && i32::try_from(signed).is_err()
}
