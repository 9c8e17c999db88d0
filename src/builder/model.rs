// SPDX-License-Identifier: GPL-2.0

//! Which argument of the traced function travels where.

use super::asm::{Gpr, R8, R9, RCX, RDI, RDX, RSI};
use super::error::{Error, Result};

/// Most arguments of a function, and most 8-byte words in all of them (`MAX_BPF_FUNC_ARGS`).
pub const MAX_ARGS: usize = 12;

/// Most bytes of one argument: a structure of two words.
const MAX_ARG_SIZE: u8 = 16;

/// The registers that carry arguments, in their order.
const ARG_REGS: [Gpr; 6] = [RDI, RSI, RDX, RCX, R8, R9];

/// Where the caller of the function puts one word of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this register.
    Reg(Gpr),
    /// On the stack, this many words above the first one there.
    Stack(u8),
}

/// One 8-byte word of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) place: Place,
    /// It points into an arena.
    pub(super) arena: bool,
    /// It may be `NULL`.
    pub(super) nullable: bool,
}

/// The arguments of a function, word by word (`struct btf_func_model`).
///
/// The return value and the signedness of the arguments leave no trace in an image.
///
/// # Invariants
///
/// At most [`MAX_ARGS`] words, without a gap, each in the place that the calling convention gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncModel {
    words: [Option<Word>; MAX_ARGS],
    stack_words: u8,
    half_word: bool,
}

impl FuncModel {
    /// Flag of an argument that points into an arena (`BTF_FMODEL_ARENA_ARG`).
    pub const ARENA_ARG: u8 = 1 << 2;
    /// Flag of an argument that may be `NULL` (`BTF_FMODEL_NULLABLE_ARG`).
    pub const NULLABLE_ARG: u8 = 1 << 3;

    /// Takes the sizes of the arguments in bytes (`arg_size`, 0 to 16 each) and their flags
    /// (`arg_flags`, `BTF_FMODEL_*`), one of each for every argument.
    ///
    /// Flags other than arena and nullable do not matter and may be set.
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
            words: [None; MAX_ARGS],
            stack_words: 0,
            half_word: false,
        };
        let mut free = ARG_REGS.as_slice();
        for (&size, &flags) in sizes.iter().zip(flags) {
            let len = usize::from(size.div_ceil(8));
            // An argument is in registers as a whole or on the stack as a whole. One that finds
            // too few registers leaves them to those behind it.
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

        // A caller that passes nothing but one short argument on the stack may write only the
        // lower half of the word; the upper one is garbage. C looks at the last argument's size.
        let short = sizes.last().is_some_and(|&size| size <= 4);
        model.half_word = model.stack_words == 1 && short;
        Ok(model)
    }

    /// Adds a word behind the others.
    fn push(&mut self, place: Place, flags: u8) -> Result {
        let free = self.words.iter_mut().find(|word| word.is_none());
        *free.ok_or(Error::TooManyRegs)? = Some(Word {
            place,
            arena: flags & Self::ARENA_ARG != 0,
            nullable: flags & Self::NULLABLE_ARG != 0,
        });
        Ok(())
    }

    /// The words in the order of the arguments, which is their order at `ctx` as well.
    pub(super) fn words(&self) -> impl Iterator<Item = Word> + '_ {
        self.words.iter().flatten().copied()
    }

    /// How many words there are, 0 to [`MAX_ARGS`].
    pub(super) fn nr_words(&self) -> u8 {
        u8::try_from(self.words().count()).unwrap_or(u8::MAX)
    }

    /// How many of them the caller passes on the stack.
    pub(super) const fn stack_words(&self) -> u8 {
        self.stack_words
    }

    /// Whether the upper half of the only word on the stack is garbage.
    pub(super) const fn has_half_word(&self) -> bool {
        self.half_word
    }
}
