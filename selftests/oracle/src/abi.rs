// SPDX-License-Identifier: GPL-2.0

//! How a compiler passes arguments to a function (System V ABI for x86-64, integer classes).
//!
//! An argument of up to 16 bytes takes one or two 8-byte words. All of them go into the next free
//! registers, or, if too few are left, all of them onto the stack; a later argument that is small
//! enough still gets the remaining registers. A word on the stack is written as a whole, with one
//! exception: if the only argument on the stack has at most 4 bytes, a compiler may write only
//! these, and the rest of the word is garbage.
//!
//! An argument that is aligned to 16 bytes (`__int128`) leaves a gap on the stack after an odd
//! number of words. `struct btf_func_model` does not distinguish it from a structure, so no builder
//! can know; it is not covered here.

use crate::case::{self, Arg, Case};
use rand::rngs::SmallRng;
use rand::Rng;

/// Numbers of the general purpose registers, as instructions encode them.
pub mod reg {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R10: usize = 10;
    pub const R11: usize = 11;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;

    pub const NAMES: [&str; 16] = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15",
    ];

    /// Registers of arguments, in order.
    pub const ARGUMENTS: [usize; 6] = [RDI, RSI, RDX, RCX, R8, R9];

    /// Registers that a function preserves, besides RSP.
    pub const PRESERVED: [usize; 6] = [RBX, RBP, R12, R13, R14, R15];
}

/// Where a word is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The register with this number.
    Reg(usize),
    /// On the stack, this many words above the first one, which follows the return address.
    Stack(usize),
}

/// One 8-byte word of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    pub place: Place,
    /// Value that the caller passes.
    pub passed: u64,
    /// The bits that the function may read.
    pub mask: u64,
    /// Value that a program reads behind `ctx`.
    pub actual: u64,
}

/// Assigns a place to each word of the arguments.
pub fn places(args: &[Arg]) -> Vec<Place> {
    let mut registers = reg::ARGUMENTS.into_iter();
    let mut stack = 0;
    let mut places = Vec::new();
    for arg in args {
        let words = usize::from(arg.size).div_ceil(8);
        if words <= registers.len() {
            places.extend(registers.by_ref().take(words).map(Place::Reg));
        } else {
            places.extend((stack..stack + words).map(Place::Stack));
            stack += words;
        }
    }
    places
}

/// Number of words on the stack.
pub fn stack_words(places: &[Place]) -> usize {
    let on_stack = places.iter().filter(|p| matches!(p, Place::Stack(_)));
    on_stack.count()
}

/// Generates arguments for a function.
pub fn words(case: &Case, rng: &mut SmallRng) -> Vec<Word> {
    let places = places(&case.args);
    let only_short = stack_words(&places) == 1 && case.args.last().is_some_and(|arg| arg.size <= 4);
    let of_arg = case.args.iter().flat_map(|arg| {
        let words = usize::from(arg.size).div_ceil(8);
        std::iter::repeat_n(arg, words)
    });

    let mut words = Vec::with_capacity(places.len());
    for (&place, arg) in places.iter().zip(of_arg) {
        let passed = match rng.random_range(0..4) {
            0 if arg.flags & case::ARENA != 0 => 0,
            // Not NULL, though its lower half is 0.
            1 if arg.flags & case::ARENA != 0 => case::garbage(rng) << 32,
            _ => case::garbage(rng),
        };
        let mask = match place {
            Place::Stack(_) if only_short => u64::from(u32::MAX),
            _ => u64::MAX,
        };
        let mut actual = passed & mask;
        if let (Some(base), true) = (case.arena, arg.flags & case::ARENA != 0) {
            if actual != 0 || arg.flags & case::NULLABLE == 0 {
                actual = actual.wrapping_sub(base) & u64::from(u32::MAX);
            }
        }
        words.push(Word {
            place,
            passed,
            mask,
            actual,
        });
    }
    words
}
