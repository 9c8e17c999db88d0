// SPDX-License-Identifier: GPL-2.0

//! Receives the bytes of an image, or counts them.

use super::error::{Error, Result};
use super::{IMAGE_MAX, SAFETY};

/// Maximum number of bytes of code: a page without the safety tail.
const CODE_MAX: usize = length(IMAGE_MAX.saturating_sub(SAFETY));

/// The bytes of a page.
pub(crate) const PAGE: usize = length(IMAGE_MAX);

/// (`usize::from()` is not const.)
const fn length(len: u16) -> usize {
    let [low, high] = len.to_le_bytes();
    usize::from_le_bytes([low, high, 0, 0, 0, 0, 0, 0])
}

/// Where the bytes of an image go.
///
/// The number of bytes of each call is known when it is compiled: they are stored without a loop,
/// and checked at once.
pub(crate) trait Sink {
    /// Number of bytes, no more than [`CODE_MAX`].
    fn pos(&self) -> u16;

    /// The address `ahead` bytes after the last byte.
    fn address(&self, ahead: u16) -> u64;

    /// Appends `bytes`, all of them or none.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: there is no space for them.
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result;

    /// Appends `head` and `tail`, both of them or none.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: there is no space for them.
    fn put_both<const N: usize, const M: usize>(&mut self, head: [u8; N], tail: [u8; M]) -> Result;

    /// Replaces bytes at `at`.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: not all of them have been appended.
    fn patch<const N: usize>(&mut self, at: u16, bytes: [u8; N]) -> Result;
}

/// Memory for an image: any number of bytes, or a page, where all bounds are constants.
pub(crate) trait Memory {
    /// Most bytes of code that fit, no more than there are.
    fn limit(&self) -> usize;

    fn bytes(&mut self) -> &mut [u8];
}

impl Memory for [u8] {
    fn limit(&self) -> usize {
        self.len().min(CODE_MAX)
    }

    fn bytes(&mut self) -> &mut [u8] {
        self
    }
}

impl Memory for [u8; PAGE] {
    #[inline(always)]
    fn limit(&self) -> usize {
        CODE_MAX
    }

    #[inline(always)]
    fn bytes(&mut self) -> &mut [u8] {
        self
    }
}

/// Stores the bytes of an image that will run at `ip`.
///
/// # Invariants
///
/// - `pos <= out.limit()`
/// - The bytes of `out` before `pos` have been written, those after it have not.
pub(crate) struct Writer<'a, M: ?Sized> {
    out: &'a mut M,
    pos: usize,
    ip: u64,
}

impl<'a, M: Memory + ?Sized> Writer<'a, M> {
    /// Stores in `out`, as far as an image reaches.
    pub(crate) fn new(out: &'a mut M, ip: u64) -> Self {
        Self { out, pos: 0, ip }
    }

    /// The place for `N` bytes at `at`.
    #[inline(always)]
    fn room<const N: usize>(&mut self, at: usize) -> Result<&mut [u8; N]> {
        let rest = self.out.bytes().get_mut(at..);
        rest.and_then(|rest| rest.first_chunk_mut())
            .ok_or(Error::TooBig)
    }
}

impl<M: Memory + ?Sized> Sink for Writer<'_, M> {
    #[inline(always)]
    fn pos(&self) -> u16 {
        position(self.pos)
    }

    #[inline(always)]
    fn address(&self, ahead: u16) -> u64 {
        address(self.ip, self.pos, ahead)
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result {
        self.put_both(bytes, [])
    }

    #[inline(always)]
    fn put_both<const N: usize, const L: usize>(&mut self, head: [u8; N], tail: [u8; L]) -> Result {
        let at = self.pos;
        let end = within(at, N.saturating_add(L), self.out.limit())?;
        *self.room(at)? = head;
        *self.room(at.wrapping_add(N))? = tail;
        // INVARIANT: Checked just now.
        self.pos = end;
        Ok(())
    }

    #[inline(always)]
    fn patch<const N: usize>(&mut self, at: u16, bytes: [u8; N]) -> Result {
        within(at.into(), N, self.pos)?;
        *self.room(at.into())? = bytes;
        Ok(())
    }
}

/// Counts the bytes of an image that would run at `ip`.
///
/// # Invariants
///
/// `pos <= CODE_MAX`
pub(crate) struct Counter {
    pos: usize,
    ip: u64,
}

impl Counter {
    /// Counts from 0.
    pub(crate) const fn new(ip: u64) -> Self {
        Self { pos: 0, ip }
    }
}

impl Sink for Counter {
    #[inline(always)]
    fn pos(&self) -> u16 {
        position(self.pos)
    }

    #[inline(always)]
    fn address(&self, ahead: u16) -> u64 {
        address(self.ip, self.pos, ahead)
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, _bytes: [u8; N]) -> Result {
        // INVARIANT: Checked just now.
        self.pos = within(self.pos, N, CODE_MAX)?;
        Ok(())
    }

    #[inline(always)]
    fn put_both<const N: usize, const L: usize>(&mut self, _: [u8; N], _: [u8; L]) -> Result {
        // INVARIANT: Checked just now.
        self.pos = within(self.pos, N.saturating_add(L), CODE_MAX)?;
        Ok(())
    }

    #[inline(always)]
    fn patch<const N: usize>(&mut self, at: u16, _bytes: [u8; N]) -> Result {
        within(at.into(), N, self.pos)?;
        Ok(())
    }
}

#[inline(always)]
fn position(pos: usize) -> u16 {
    // All positions are within `CODE_MAX`.
    u16::try_from(pos).unwrap_or(u16::MAX)
}

#[inline(always)]
fn address(ip: u64, pos: usize, ahead: u16) -> u64 {
    ip.wrapping_add(u64::from(position(pos)))
        .wrapping_add(u64::from(ahead))
}

/// Where `len` bytes at `at` end, which is not behind `limit`.
#[inline(always)]
fn within(at: usize, len: usize, limit: usize) -> Result<usize> {
    if limit.checked_sub(len).is_none_or(|last| at > last) {
        return Err(Error::TooBig);
    }
    Ok(at.wrapping_add(len))
}
