// SPDX-License-Identifier: GPL-2.0

//! How the traced function's arguments are passed.

use super::asm::{Gpr, R8, R9, RCX, RDI, RDX, RSI};
use super::error::{Error, Result};
use super::list::List;

/// Maximum number of arguments, and of 8-byte words of all arguments (`MAX_BPF_FUNC_ARGS`).
pub const MAX_ARGS: usize = 12;

/// Maximum size of an argument in bytes: a structure of two words.
const MAX_ARG_SIZE: u8 = 16;

/// Registers of arguments, in order.
const ARG_REGS: [Gpr; 6] = [RDI, RSI, RDX, RCX, R8, R9];

/// Where a word of the arguments is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this register.
    Reg(Gpr),
    /// On the stack, this many words above the first one.
    Stack(u8),
}

impl Default for Place {
    fn default() -> Self {
        Self::Stack(0)
    }
}

/// One 8-byte word of the arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) place: Place,
    /// The argument points into an arena.
    pub(super) arena: bool,
    /// The argument may be `NULL`.
    pub(super) nullable: bool,
}

/// The arguments of a function as 8-byte words (`struct btf_func_model`).
///
/// Images do not depend on the return value or on the signedness of arguments.
///
/// # Invariants
///
/// At most [`MAX_ARGS`] words, without a gap, each in its place by the calling convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncModel {
    words: List<Word, MAX_ARGS>,
    stack_words: u8,
    half_word: bool,
}

impl FuncModel {
    /// Flag of an argument that points into an arena (`BTF_FMODEL_ARENA_ARG`).
    pub const ARENA_ARG: u8 = 1 << 2;
    /// Flag of an argument that may be `NULL` (`BTF_FMODEL_NULLABLE_ARG`).
    pub const NULLABLE_ARG: u8 = 1 << 3;

    /// Creates a model from the size in bytes (`arg_size`, 0 to 16) and the flags (`arg_flags`,
    /// `BTF_FMODEL_*`) of each argument.
    ///
    /// Flags other than arena and nullable are ignored.
    ///
    /// # Errors
    ///
    /// - [`Error::Invalid`]: more than [`MAX_ARGS`] arguments, a different number of flags, or an
    ///   argument of more than 16 bytes.
    /// - [`Error::TooManyRegs`]: more than [`MAX_ARGS`] words in all.
    pub fn new(sizes: &[u8], flags: &[u8]) -> Result<Self> {
        if sizes.len() > MAX_ARGS || sizes.len() != flags.len() {
            return Err(Error::Invalid);
        }
        if sizes.iter().any(|&size| size > MAX_ARG_SIZE) {
            return Err(Error::Invalid);
        }

        let mut model = Self {
            words: List::default(),
            stack_words: 0,
            half_word: false,
        };
        let mut free = ARG_REGS.as_slice();
        for (&size, &flags) in sizes.iter().zip(flags) {
            let len = usize::from(size.div_ceil(8));
            // An argument is passed in registers or on the stack, never in both. If it needs more
            // registers than are free, later arguments may still use them.
            if let Some((taken, left)) = free.split_at_checked(len) {
                free = left;
                for &reg in taken {
                    model.push(Place::Reg(reg), flags)?;
                }
            } else {
                for _ in 0..len {
                    model.push(Place::Stack(model.stack_words), flags)?;
                    model.stack_words = model.stack_words.saturating_add(1);
                }
            }
        }

        // If the only argument on the stack is a short one, the caller may write only the lower
        // half of its word; the upper half is garbage. C tests the size of the last argument.
        let short = sizes.last().is_some_and(|&size| size <= 4);
        model.half_word = model.stack_words == 1 && short;
        Ok(model)
    }

    /// Appends a word.
    fn push(&mut self, place: Place, flags: u8) -> Result {
        let word = Word {
            place,
            arena: flags & Self::ARENA_ARG != 0,
            nullable: flags & Self::NULLABLE_ARG != 0,
        };
        self.words.push(word).map_err(|_| Error::TooManyRegs)
    }

    /// The words in the order of the arguments, as at `ctx`.
    pub(super) fn words(&self) -> impl Iterator<Item = Word> + '_ {
        self.words.get().iter().copied()
    }

    /// Number of words, 0 to [`MAX_ARGS`].
    pub(super) fn nr_words(&self) -> u8 {
        u8::try_from(self.words.len()).unwrap_or(u8::MAX)
    }

    /// Number of words on the stack.
    pub(super) const fn stack_words(&self) -> u8 {
        self.stack_words
    }

    /// Whether the upper half of the only word on the stack may be garbage.
    pub(super) const fn has_half_word(&self) -> bool {
        self.half_word
    }
}
