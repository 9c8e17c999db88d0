// SPDX-License-Identifier: GPL-2.0

//! Arguments of every width, through the functions of the test targets. Whatever
//! the prototype leaves undefined in a register or on the stack is garbage here.

use anyhow::Result;

use super::onto::{words, Call};
use crate::harness::Env;
use crate::targets::sum;

tests! {
    width_u8: "u8, garbage above them, 7 and 8 arguments",
    width_s8: "s8, likewise",
    width_u16: "u16, likewise",
    width_s16: "s16, likewise",
    width_u32: "u32, likewise",
    width_s32: "s32, likewise",
    width_bool: "bool, likewise",
    width_pointer: "pointers, all of whose bits count",
    width_mixed: "12 arguments of all widths",
}

/// `value` in a register or a word of the stack, where callers define 32 bits.
fn with_garbage(value: u64, nr: usize) -> u64 {
    (value & 0xffff_ffff) | ((0xdead_be00 + nr as u64) << 32)
}

/// What a word on the stack looks like to a program if it is the only one there
/// and 32 bits of it count.
pub fn half(word: u64) -> u64 {
    word & 0xffff_ffff
}

/// Functions of 7 and 8 arguments of one type, to which `convert` brings any
/// value.
fn width(env: &Env, name: &str, convert: fn(u64) -> u64) -> Result<()> {
    let values = words::<8>().map(convert);
    let mut raw = values;
    for (nr, word) in raw.iter_mut().enumerate() {
        *word = with_garbage(*word, nr);
    }
    let mut seen = raw;
    seen[6] = half(raw[6]);
    Call {
        function: &format!("{name}_7"),
        words: &raw[..7],
        args: &seen[..7],
        ret: sum(&values[..7]),
    }
    .check(env)?;
    Call {
        function: &format!("{name}_8"),
        words: &raw,
        args: &raw,
        ret: sum(&values),
    }
    .check(env)
}

fn width_u8(env: &Env) -> Result<()> {
    width(env, "u8", |word| u64::from(word as u8))
}

fn width_s8(env: &Env) -> Result<()> {
    width(env, "s8", |word| word as i8 as u64)
}

fn width_u16(env: &Env) -> Result<()> {
    width(env, "u16", |word| u64::from(word as u16))
}

fn width_s16(env: &Env) -> Result<()> {
    width(env, "s16", |word| word as i16 as u64)
}

fn width_u32(env: &Env) -> Result<()> {
    width(env, "u32", |word| u64::from(word as u32))
}

fn width_s32(env: &Env) -> Result<()> {
    width(env, "s32", |word| word as i32 as u64)
}

fn width_bool(env: &Env) -> Result<()> {
    width(env, "bool", |word| (word >> 60) & 1)
}

fn width_pointer(env: &Env) -> Result<()> {
    for nr in [7, 8] {
        let args = &words::<8>()[..nr];
        Call {
            function: &format!("pointer_{nr}"),
            words: args,
            args,
            ret: sum(args),
        }
        .check(env)?;
    }
    Ok(())
}

fn width_mixed(env: &Env) -> Result<()> {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = words::<12>();
    let narrow = [
        u64::from(a as u8),
        b,
        u64::from(c as u16),
        d,
        e as i32 as u64,
        f >> 63,
        g as i8 as u64,
        h,
        i as i16 as u64,
        u64::from(j as u32),
        k,
        u64::from(l as u8),
    ];
    let mut raw = narrow;
    for nr in [0, 2, 4, 5, 6, 8, 9, 11] {
        raw[nr] = with_garbage(raw[nr], nr);
    }
    Call {
        function: "mixed",
        words: &raw,
        args: &raw,
        ret: sum(&narrow),
    }
    .check(env)
}
