// SPDX-License-Identifier: GPL-2.0

//! Images that are whole but for what depends on their place.
//!
//! The kernel asks for the size of an image before it has a place for it. A draft has that size: it
//! is the image, as it would run at some address, without the call sequences that are copies of
//! others.

use super::asm::takes_8_bytes;
use super::error::{Error, Result};
use super::list::List;
use super::sequence::{Sequence, BLOCK};
use super::writer::chunk;
use super::{Program, Programs, Skip, MAX_LINKS};

/// Most displacements in a draft. A call has one, and two more with call-depth tracking; there are
/// three calls for each program, and less than seven others.
const MAX_REL32: usize = MAX_LINKS.saturating_mul(9).saturating_add(24);

/// How often an image has the address of its `struct bpf_tramp_image`: at entry and at exit.
const MAX_IMAGE: usize = 2;

/// Most call sequences that others are copied from.
const MAX_SEQUENCES: usize = 4;

/// What a draft has, and what it lacks.
///
/// Its own code, records and programs are the caller's.
#[derive(Default)]
pub struct Draft {
    /// The address that it was made for.
    ip: u64,
    /// The address of the `struct bpf_tramp_image`, and the offsets of its 8 bytes.
    image: u64,
    images: List<u16, MAX_IMAGE>,
    /// It takes less than 8 bytes: no other address may replace it.
    fixed: bool,
    /// Offsets of the displacements to what is outside.
    rel32: List<u16, MAX_REL32>,
    sequences: List<Sequence, MAX_SEQUENCES>,
    /// For each program call, the position of the sequence that its own is a copy of, or
    /// [`EMITTED`].
    calls: List<usize, MAX_LINKS>,
}

/// The call sequence is no copy.
const EMITTED: usize = usize::MAX;

impl Draft {
    /// Begins a draft of an image that would run at `ip`, with its `struct bpf_tramp_image` at
    /// address `image`.
    pub(super) fn begin(&mut self, ip: u64, image: u64) {
        (self.ip, self.image, self.fixed) = (ip, image, false);
        self.images.clear();
        self.rel32.clear();
        self.sequences.clear();
        self.calls.clear();
    }

    /// The address of the `struct bpf_tramp_image` ends at `end`.
    pub(super) fn image_ends(&mut self, end: u16) -> Result {
        if !takes_8_bytes(self.image) {
            self.fixed = true;
            return Ok(());
        }
        self.images.push(end.saturating_sub(8))
    }

    /// A displacement to what is outside ends at `end`.
    #[inline(always)]
    pub(super) fn rel32_ends(&mut self, end: u16) -> Result {
        self.rel32.push(end.saturating_sub(4))
    }

    /// Notes that the next call sequence, which is that of `program`, will be a copy of the last
    /// one that was emitted, if it can be. Returns the latter.
    #[inline(always)]
    pub(super) fn copy(
        &mut self,
        program: &Program,
        saves: bool,
        decides: bool,
    ) -> Result<Option<&Sequence>> {
        let Some((at, like)) = self.sequences.last() else {
            return Ok(None);
        };
        if !like.is_like(program, saves, decides) {
            return Ok(None);
        }
        self.calls.push(at)?;
        Ok(Some(like))
    }

    /// Notes that the next call sequence is `sequence`, whose displacements begin with number
    /// `first`. If it `is_model`, others are copied from it, as long as there is space for it.
    #[inline(always)]
    pub(super) fn emitted(&mut self, sequence: &Sequence, first: usize, is_model: bool) -> Result {
        self.calls.push(EMITTED)?;
        if !is_model || usize::from(sequence.len) > BLOCK || self.sequences.push(*sequence).is_err()
        {
            return Ok(());
        }
        let Some(sequence) = self.sequences.last_mut() else {
            return Ok(());
        };
        for at in self.rel32.get().get(first..).unwrap_or_default() {
            let offset = at.wrapping_sub(sequence.start);
            if offset != sequence.entry {
                sequence.branches.push(offset)?;
            }
        }
        if sequence.decides {
            let jump = sequence.len.saturating_sub(4);
            sequence.branches.push(jump)?;
        }
        Ok(())
    }

    /// Number of displacements so far.
    pub(super) fn nr_rel32(&self) -> usize {
        self.rel32.len()
    }

    /// Completes `code`, which has been drafted last, for `programs` and with `skips`, to run at
    /// `ip`, with its `struct bpf_tramp_image` at address `image`.
    ///
    /// # Errors
    ///
    /// After an error the code is undefined, and has to be drafted anew:
    ///
    /// - [`Error::OutOfRange`]: as for [`build`](super::build).
    /// - [`Error::Invalid`]: other instructions are needed there, for another alignment or for an
    ///   address of the `struct bpf_tramp_image` that takes less than 8 bytes.
    pub fn place(
        &self,
        programs: &Programs<'_>,
        skips: &[Skip],
        code: &mut [u8],
        ip: u64,
        image: u64,
    ) -> Result {
        let by = self.ip.wrapping_sub(ip);
        let whole = !self.fixed && takes_8_bytes(image);
        if by & 0xf != 0 || !(whole || image == self.image) {
            return Err(Error::Invalid);
        }
        let by = i64::from_ne_bytes(by.to_ne_bytes());
        for &at in self.rel32.get() {
            let field = field(code, at)?;
            let distance = i64::from(i32::from_le_bytes(*field)).checked_add(by);
            let distance = distance.and_then(|distance| i32::try_from(distance).ok());
            *field = distance.ok_or(Error::OutOfRange)?.to_le_bytes();
        }
        for &at in self.images.get() {
            *field(code, at)? = image.to_le_bytes();
        }
        let mut calls = self.calls.get().iter().zip(skips);
        for list in programs.in_order() {
            for (program, (&like, skip)) in list.iter().zip(&mut calls) {
                if let Some(like) = self.sequences.get().get(like) {
                    like.copy(program, code, skip.nop, ip)?;
                }
            }
        }
        Ok(())
    }
}

/// The `N` bytes at `at`; [`Error::Invalid`] if not all of them are there.
#[inline(always)]
pub(super) fn field<const N: usize>(code: &mut [u8], at: u16) -> Result<&mut [u8; N]> {
    chunk(code, at.into()).ok_or(Error::Invalid)
}
