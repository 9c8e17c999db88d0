// SPDX-License-Identifier: GPL-2.0

//! Listings of images, written by hand from the C source.
//!
//! Each line has an instruction: its bytes, two blanks, its text, and a comment after a semicolon.
//! `=name` stands for a 4-byte displacement to a symbol, `=name-n` if the instruction has `n` bytes
//! after it; `#name` stands for an 8-byte address. A name with a colon is a label; `fp_start` and
//! `fp_end` are the image's marks.

use super::fixture::{IP, SYMBOLS};
use crate::builder::Error;
use core::fmt;

/// Maximum number of bytes of a listing.
pub(crate) const ROOM: usize = 512;

/// Code and its frame pointer marks.
#[derive(PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) code: [u8; ROOM],
    pub(crate) len: usize,
    pub(crate) frame: [usize; 2],
}

impl Marked {
    /// Reads a listing.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the listing does not have the form above, has no marks, or has more than
    /// [`ROOM`] bytes.
    pub(crate) fn read(source: &str) -> Result<Self, Error> {
        let mut marked = Self {
            code: [0; ROOM],
            len: 0,
            frame: [usize::MAX; 2],
        };
        for line in source.lines() {
            match Line::read(line)? {
                Line::Label("fp_start") => marked.frame[0] = marked.len,
                Line::Label("fp_end") => marked.frame[1] = marked.len,
                Line::Insn { bytes, .. } => {
                    for token in bytes.split(' ') {
                        marked.token(token)?;
                    }
                }
                Line::Label(_) | Line::Empty => {}
            }
        }
        let marks = marked.frame.contains(&usize::MAX);
        (!marks).then_some(marked).ok_or(Error::Invalid)
    }

    pub(crate) fn code(&self) -> &[u8] {
        self.code.get(..self.len).unwrap_or_default()
    }

    fn token(&mut self, token: &str) -> Result<(), Error> {
        if let Some(name) = token.strip_prefix('#') {
            self.put(&find(name)?.to_le_bytes())
        } else if let Some(name) = token.strip_prefix('=') {
            let (name, more) = name.split_once('-').unwrap_or((name, "0"));
            let more: usize = more.parse().map_err(|_| Error::Invalid)?;
            let end = IP + (self.len + 4 + more) as u64;
            let distance = find(name)?.wrapping_sub(end) as i64;
            let distance = i32::try_from(distance).map_err(|_| Error::OutOfRange)?;
            self.put(&distance.to_le_bytes())
        } else {
            let byte = u8::from_str_radix(token, 16).map_err(|_| Error::Invalid)?;
            self.put(&[byte])
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.len + bytes.len();
        let room = self.code.get_mut(self.len..end).ok_or(Error::Invalid)?;
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

impl fmt::Debug for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {:?}, code {:02x?}", self.frame, self.code())
    }
}

/// One line of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Label(&'a str),
    Insn { bytes: &'a str, text: &'a str },
    Empty,
}

impl<'a> Line<'a> {
    /// # Errors
    ///
    /// [`Error::Invalid`]: bytes without text.
    pub(crate) fn read(line: &'a str) -> Result<Self, Error> {
        let line = line.split(';').next().unwrap_or(line).trim();
        if line.is_empty() {
            return Ok(Self::Empty);
        }
        if let Some(label) = line.strip_suffix(':') {
            return Ok(Self::Label(label));
        }
        let (bytes, text) = line.split_once("  ").ok_or(Error::Invalid)?;
        let text = text.trim();
        Ok(Self::Insn { bytes, text })
    }
}

/// Address of a symbol.
fn find(name: &str) -> Result<u64, Error> {
    let found = SYMBOLS.iter().find(|(symbol, _)| *symbol == name);
    found.map(|&(_, address)| address).ok_or(Error::Invalid)
}
