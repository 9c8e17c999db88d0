// SPDX-License-Identifier: GPL-2.0

//! Call sequences, and copies of them.
//!
//! Most programs of an image are alike: their call sequences differ in the address of the program,
//! its code and its BPF cookie. To copy one takes a fraction of the instructions that it takes to
//! emit it, and a copy is made once, when the image has its place.

use super::asm::{distance, takes_8_bytes};
use super::draft::field;
use super::error::{Error, Result};
use super::list::List;
use super::{Callee, Program};

/// Most bytes of a sequence that others are copied from.
pub(super) const BLOCK: usize = 2 * HALF;

/// What is copied without a loop or a call.
const HALF: usize = 64;

/// A call sequence that others are copied from. Offsets are in bytes from its beginning.
#[derive(Clone, Copy, Default)]
pub(super) struct Sequence {
    /// What it calls before and after the program, and whether that does its own accounting.
    pub(super) enter: Callee,
    pub(super) exit: Callee,
    pub(super) counted: bool,
    /// The BPF cookie.
    pub(super) bpf_cookie: u64,
    /// It stores the return value.
    pub(super) saves: bool,
    /// It ends with the jump that replaces the function.
    pub(super) decides: bool,
    /// Position in the image.
    pub(super) start: u16,
    /// Number of bytes, no more than [`BLOCK`].
    pub(super) len: u16,
    /// Offset of the BPF cookie.
    pub(super) cookie: u16,
    /// Offsets of the address of the program.
    pub(super) progs: [u16; 2],
    /// Offset of the displacement to its code.
    pub(super) entry: u16,
    /// Offsets of the other displacements: two calls, three times two counters, and the jump.
    pub(super) branches: List<u16, 9>,
    /// Offset behind the call of the exit function.
    pub(super) exited: u16,
}

impl Sequence {
    /// Whether the sequence of `program` can be copied from this one.
    #[inline(always)]
    pub(super) fn is_like(&self, program: &Program, saves: bool, decides: bool) -> bool {
        self.saves == saves
            && self.decides == decides
            && self.enter == program.enter
            && self.exit == program.exit
            && self.counted == program.entry.counted
            && can_be_copied(program)
            && (self.bpf_cookie == program.cookie
                || takes_8_bytes(self.bpf_cookie) && takes_8_bytes(program.cookie))
    }

    /// Makes the sequence of `program` out of this one, at position `at` of `code`, which will run at
    /// `ip`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`], or [`Error::Invalid`] if there is no block at `at`.
    #[inline(always)]
    pub(super) fn copy(&self, program: &Program, code: &mut [u8], at: u16, ip: u64) -> Result {
        let (before, there) = code.split_at_mut_checked(at.into()).ok_or(Error::Invalid)?;
        let from = before.get(self.start.into()..).ok_or(Error::Invalid)?;
        let from = from.get(..self.len.into()).ok_or(Error::Invalid)?;
        let block: &mut [u8; BLOCK] = there.first_chunk_mut().ok_or(Error::Invalid)?;
        let to = block.get_mut(..from.len()).ok_or(Error::Invalid)?;
        copy_bytes(to, from);

        // Branches go where those of this one go, but for the call of the program's code.
        let by = i32::from(at).wrapping_sub(self.start.into());
        for &branch in self.branches.get() {
            let rel32 = field(block, branch)?;
            let distance = i32::from_le_bytes(*rel32).checked_sub(by);
            *rel32 = distance.ok_or(Error::OutOfRange)?.to_le_bytes();
        }
        let end = ip.wrapping_add(at.into()).wrapping_add(self.entry.into());
        let entry = distance(end.wrapping_add(4), program.entry.addr)?;
        *field(block, self.entry)? = entry.to_le_bytes();

        if program.cookie != self.bpf_cookie {
            *field(block, self.cookie)? = program.cookie.to_le_bytes();
        }
        for prog in self.progs {
            *field(block, prog)? = program.prog.to_le_bytes();
        }
        Ok(())
    }
}

/// Whether the sequence of `program` can be copied, or others from it: it is not interpreted, and its
/// address takes 8 bytes.
#[inline(always)]
pub(super) fn can_be_copied(program: &Program) -> bool {
    program.insnsi.is_none() && takes_8_bytes(program.prog)
}

/// Copies a sequence. Most have more than half a block.
#[inline(always)]
fn copy_bytes(to: &mut [u8], from: &[u8]) {
    let halves = (from.first_chunk::<HALF>(), from.last_chunk::<HALF>());
    let (Some(first), Some(last)) = halves else {
        return to.copy_from_slice(from);
    };
    if let Some(to) = to.first_chunk_mut() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut() {
        *to = *last;
    }
}
