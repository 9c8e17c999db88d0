// SPDX-License-Identifier: GPL-2.0

//! An image and its records, from any builder.

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub code: Vec<u8>,
    pub skips: Vec<Skip>,
    /// Offsets in bytes (`ksym.fp_start`, `ksym.fp_end`).
    pub fp: [u64; 2],
}

/// A skip record, with offsets in bytes from the image's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    pub prog: u64,
    pub nop: u64,
    pub target: u64,
}

/// The nop that can be patched (`x86_nops[5]`).
pub const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];

impl Image {
    /// `len` bytes at `offset`; fewer at the end.
    pub fn bytes(&self, offset: u64, len: usize) -> &[u8] {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let tail = self.code.get(from..).unwrap_or_default();
        tail.get(..len).unwrap_or(tail)
    }
}
