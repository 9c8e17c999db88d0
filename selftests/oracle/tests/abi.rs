// SPDX-License-Identifier: GPL-2.0

//! `abi::places` agrees with a compiler: functions compiled by rustc get their arguments from the
//! places that it assigns.

use oracle::abi::{places, reg, Place};
use oracle::case::Arg;
use std::mem::transmute;

/// Six words in registers, six on the stack.
type Words = extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u64;

/// Two words.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pair(u64, u64);

/// Two words, the second one half used.
#[repr(C)]
#[derive(Clone, Copy)]
struct Short(u64, u32);

/// Calls `function` with the numbers 1, 2, 3, ... as the words of arguments of these sizes, and
/// returns its result.
fn call(function: Words, sizes: &[u8]) -> u64 {
    let args: Vec<_> = sizes.iter().map(|&size| Arg { size, flags: 0 }).collect();
    let (mut regs, mut stack) = ([0xbad; 6], [0xbad; 6]);
    for (number, place) in (1..).zip(places(&args)) {
        match place {
            Place::Reg(register) => {
                let at = reg::ARGUMENTS.iter().position(|&r| r == register);
                regs[at.unwrap()] = number;
            }
            Place::Stack(slot) => stack[slot] = number,
        }
    }
    let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (regs, stack);
    function(a, b, c, d, e, f, g, h, i, j, k, l)
}

/// A number with one hexadecimal digit per word.
fn digits(words: &[u64]) -> u64 {
    words.iter().fold(0, |sum, word| (sum << 4) | word)
}

extern "C" fn many(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u32) -> u64 {
    digits(&[a, b, c, d, e, f, g, h.into()])
}

extern "C" fn behind(a: u64, b: u64, c: u64, d: u64, e: u64, pair: Pair, last: u64) -> u64 {
    digits(&[a, b, c, d, e, pair.0, pair.1, last])
}

extern "C" fn pairs(a: Pair, b: Pair, c: Pair, d: Pair) -> u64 {
    digits(&[a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1])
}

extern "C" fn mixed(a: Pair, b: u8, c: Short, d: Pair, e: u16, f: Short) -> u64 {
    let numbers = [a.0, a.1, b.into(), c.0, c.1.into(), d.0, d.1];
    (digits(&numbers) << 12) | digits(&[e.into(), f.0, f.1.into()])
}

#[test]
fn a_compiler_agrees() {
    // SAFETY: All of them take words in registers and on the stack and return one. They do not read
    // the stack beyond their own arguments.
    let functions: [(Words, &[u8]); 4] = unsafe {
        [
            (
                transmute::<*const (), Words>(many as *const ()),
                &[8, 8, 8, 8, 8, 8, 8, 4],
            ),
            (
                transmute::<*const (), Words>(behind as *const ()),
                &[8, 8, 8, 8, 8, 16, 8],
            ),
            (
                transmute::<*const (), Words>(pairs as *const ()),
                &[16, 16, 16, 16],
            ),
            (
                transmute::<*const (), Words>(mixed as *const ()),
                &[16, 1, 12, 16, 2, 12],
            ),
        ]
    };
    for (function, sizes) in functions {
        let words: u64 = sizes.iter().map(|&size| u64::from(size).div_ceil(8)).sum();
        let numbers: Vec<_> = (1..=words).collect();
        assert_eq!(call(function, sizes), digits(&numbers), "{sizes:?}");
    }
}
