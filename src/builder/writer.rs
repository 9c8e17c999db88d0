// SPDX-License-Identifier: GPL-2.0

//! Receives the bytes of an image.

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

/// Memory for an image: any number of bytes, or a page, where all bounds are constants.
pub(crate) trait Buffer {
    /// Most bytes of code that fit, no more than there are.
    fn limit(&self) -> usize;

    fn bytes(&mut self) -> &mut [u8];
}

impl Buffer for [u8] {
    fn limit(&self) -> usize {
        self.len().min(CODE_MAX)
    }

    fn bytes(&mut self) -> &mut [u8] {
        self
    }
}

impl Buffer for [u8; PAGE] {
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
/// - The bytes of `out` before `pos` have been written or skipped, those after it have not.
pub(crate) struct Writer<'a, B: ?Sized> {
    out: &'a mut B,
    pos: usize,
    ip: u64,
}

impl<'a, B: Buffer + ?Sized> Writer<'a, B> {
    /// Stores in `out`, as far as an image reaches.
    pub(crate) fn new(out: &'a mut B, ip: u64) -> Self {
        Self { out, pos: 0, ip }
    }

    /// The place for `N` bytes at `at`.
    #[inline(always)]
    fn room<const N: usize>(&mut self, at: usize) -> Result<&mut [u8; N]> {
        chunk(self.out.bytes(), at).ok_or(Error::TooBig)
    }

    /// Number of bytes, no more than [`CODE_MAX`].
    #[inline(always)]
    pub(crate) fn pos(&self) -> u16 {
        // All positions are within `CODE_MAX`: the mask spares the compiler a comparison.
        u16::try_from(self.pos & 0xffff).unwrap_or(u16::MAX)
    }

    /// The address `ahead` bytes after the last byte.
    #[inline(always)]
    pub(crate) fn address(&self, ahead: u16) -> u64 {
        self.ip
            .wrapping_add(self.pos().into())
            .wrapping_add(ahead.into())
    }

    /// Appends `bytes`, all of them or none.
    ///
    /// The number of bytes is known when the call is compiled: they are stored without a loop, and
    /// checked at once.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: there is no space for them.
    #[inline(always)]
    pub(crate) fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result {
        self.put_both(bytes, [])
    }

    /// Appends `head` and `tail`, both of them or none.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: there is no space for them.
    #[inline(always)]
    pub(crate) fn put_both<const N: usize, const L: usize>(
        &mut self,
        head: [u8; N],
        tail: [u8; L],
    ) -> Result {
        let at = self.pos;
        let end = within(at, N.saturating_add(L), self.out.limit())?;
        *self.room(at)? = head;
        *self.room(at.wrapping_add(N))? = tail;
        // INVARIANT: Checked just now.
        self.pos = end;
        Ok(())
    }

    /// Whether there is space for `len` bytes.
    #[inline(always)]
    pub(crate) fn has_room(&self, len: usize) -> bool {
        within(self.pos, len, self.out.limit()).is_ok()
    }

    /// Leaves `len` bytes as they are.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: there is no space for them.
    #[inline(always)]
    pub(crate) fn skip(&mut self, len: u16) -> Result {
        // INVARIANT: Checked just now.
        self.pos = within(self.pos, len.into(), self.out.limit())?;
        Ok(())
    }

    /// The bytes at `at`, to be read or replaced.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: not all of them have been appended.
    #[inline(always)]
    pub(crate) fn at<const N: usize>(&mut self, at: u16) -> Result<&mut [u8; N]> {
        within(at.into(), N, self.pos)?;
        self.room(at.into())
    }
}

/// The `N` bytes at `at`, if all of them are there.
#[inline(always)]
pub(super) fn chunk<const N: usize>(bytes: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    bytes.get_mut(at..)?.first_chunk_mut()
}

/// Where `len` bytes at `at` end, which is not behind `limit`.
#[inline(always)]
fn within(at: usize, len: usize, limit: usize) -> Result<usize> {
    if limit.checked_sub(len).is_none_or(|last| at > last) {
        return Err(Error::TooBig);
    }
    Ok(at.wrapping_add(len))
}
