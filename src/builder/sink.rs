// SPDX-License-Identifier: GPL-2.0

//! Where the bytes of an image go.

use super::error::{Error, Result};
use super::{IMAGE_MAX, SAFETY};

/// Bytes on their way to the address where they will run, or to nowhere but a count.
///
/// # Invariants
///
/// - `pos <= limit`, and `limit` bytes are in `out` where there is one.
/// - Every byte of `out` before `pos` has been put, none behind it.
pub(crate) struct Sink<'a> {
    out: Option<&'a mut [u8]>,
    pos: u16,
    limit: u16,
    ip: u64,
}

/// Most bytes of code: a page without the safety tail.
const CODE_MAX: u16 = IMAGE_MAX.saturating_sub(SAFETY);

impl<'a> Sink<'a> {
    /// A sink that fills `out` with what will run at `ip`.
    pub(crate) fn over(out: &'a mut [u8], ip: u64) -> Self {
        let room = u16::try_from(out.len()).unwrap_or(u16::MAX);
        Self {
            out: Some(out),
            pos: 0,
            limit: room.min(CODE_MAX),
            ip,
        }
    }

    /// A sink that counts what would run at `ip`.
    pub(crate) const fn counting(ip: u64) -> Self {
        Self {
            out: None,
            pos: 0,
            limit: CODE_MAX,
            ip,
        }
    }

    /// Bytes so far.
    pub(crate) const fn pos(&self) -> u16 {
        self.pos
    }

    /// The address `ahead` bytes behind the last byte.
    pub(crate) fn address(&self, ahead: u16) -> u64 {
        self.ip
            .wrapping_add(u64::from(self.pos))
            .wrapping_add(u64::from(ahead))
    }

    /// Puts `bytes` behind the last one, all of them or none.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: they do not fit.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result {
        let end = u16::try_from(bytes.len())
            .ok()
            .and_then(|len| self.pos.checked_add(len))
            .filter(|&end| end <= self.limit)
            .ok_or(Error::TooBig)?;
        self.write(self.pos, bytes)?;
        // INVARIANT: `end` is within the limit, and the bytes before it have just been put.
        self.pos = end;
        Ok(())
    }

    /// Replaces the bytes that have been put at `at`.
    ///
    /// # Errors
    ///
    /// [`Error::TooBig`]: not all of them have been put yet.
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
