// SPDX-License-Identifier: GPL-2.0

//! Receives the bytes of an image.

use super::error::{Error, Result};
use super::{IMAGE_MAX, SAFETY};

/// Receives the bytes of an image that will run at `ip`, and stores or only counts them.
///
/// # Invariants
///
/// - `pos <= limit`, and `out` has at least `limit` bytes, if there is one.
/// - The bytes of `out` before `pos` have been written, those after it have not.
pub(crate) struct Sink<'a> {
    out: Option<&'a mut [u8]>,
    pos: u16,
    limit: u16,
    ip: u64,
}

/// Maximum number of bytes of code: a page without the safety tail.
const CODE_MAX: u16 = IMAGE_MAX.saturating_sub(SAFETY);

impl<'a> Sink<'a> {
    /// Stores bytes in `out` that will run at `ip`.
    pub(crate) fn over(out: &'a mut [u8], ip: u64) -> Self {
        let room = u16::try_from(out.len()).unwrap_or(u16::MAX);
        Self {
            out: Some(out),
            pos: 0,
            limit: room.min(CODE_MAX),
            ip,
        }
    }

    /// Counts bytes that would run at `ip`.
    pub(crate) const fn counting(ip: u64) -> Self {
        Self {
            out: None,
            pos: 0,
            limit: CODE_MAX,
            ip,
        }
    }

    /// Number of bytes.
    pub(crate) const fn pos(&self) -> u16 {
        self.pos
    }

    /// The address `ahead` bytes after the last byte.
    pub(crate) fn address(&self, ahead: u16) -> u64 {
        self.ip
            .wrapping_add(u64::from(self.pos))
            .wrapping_add(u64::from(ahead))
    }

    /// Appends `bytes`, all of them or none.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: there is no space for them.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result {
        let end = u16::try_from(bytes.len())
            .ok()
            .and_then(|len| self.pos.checked_add(len))
            .filter(|&end| end <= self.limit)
            .ok_or(Error::TooBig)?;
        self.write(self.pos, bytes)?;
        // INVARIANT: `end` is within the limit.
        self.pos = end;
        Ok(())
    }

    /// Replaces bytes at `at`.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: not all of them have been appended.
    pub(crate) fn patch(&mut self, at: u16, bytes: &[u8]) -> Result {
        u16::try_from(bytes.len())
            .ok()
            .and_then(|len| at.checked_add(len))
            .filter(|&end| end <= self.pos)
            .ok_or(Error::TooBig)?;
        self.write(at, bytes)
    }

    fn write(&mut self, at: u16, bytes: &[u8]) -> Result {
        if let Some(out) = &mut self.out {
            out.get_mut(usize::from(at)..)
                .and_then(|tail| tail.get_mut(..bytes.len()))
                .ok_or(Error::TooBig)?
                .copy_from_slice(bytes);
        }
        Ok(())
    }
}
