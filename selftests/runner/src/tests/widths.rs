// SPDX-License-Identifier: GPL-2.0

//! Arguments and return values of every number, width and shape, through the
//! functions of the test targets. Whatever the prototype leaves undefined in a
//! register or on the stack is garbage here.

use anyhow::Result;

use super::onto::{words, Call};
use crate::harness::Env;
use crate::targets::{fold, sum};

tests! {
    args_in_registers: "0, 3 and 6 words, all bits of each",
    args_7: "7 words, one on the stack",
    args_8: "8 words, two on the stack",
    args_9: "9 words, three on the stack",
    args_10: "10 words, four on the stack",
    args_11: "11 words, five on the stack",
    args_12: "12 words, as many as there can be",
    width_u8: "u8, garbage above them, 7 and 8 arguments",
    width_s8: "s8, likewise",
    width_u16: "u16, likewise",
    width_s16: "s16, likewise",
    width_u32: "u32, likewise",
    width_s32: "s32, likewise",
    width_bool: "bool, likewise",
    width_pointer: "pointers, all of whose bits count",
    width_mixed: "12 arguments of all widths",
    struct_8: "a struct of 8 bytes, by value",
    struct_12: "a struct of 12 bytes",
    struct_first: "a struct of 16 bytes in the first two registers",
    struct_last: "a struct in the last two registers",
    struct_split: "a struct on the stack, an argument in a register after",
    struct_both: "structs in registers and on the stack",
    struct_most: "six structs, as many words as there can be",
    ret_u64: "64 bits as return value",
    ret_u8: "u8, and what is above it in the register",
    ret_s16: "s16, likewise",
    ret_int: "a negative int",
    ret_bool: "true and false",
    ret_pointer: "a pointer as return value",
    ret_void: "nothing is returned, arguments arrive",
}

fn number(env: &Env, nr: usize) -> Result<()> {
    let args = &words::<12>()[..nr];
    Call {
        function: &format!("args_{nr}"),
        words: args,
        args,
        ret: sum(args),
    }
    .check(env)
}

fn args_in_registers(env: &Env) -> Result<()> {
    [0, 3, 6].into_iter().try_for_each(|nr| number(env, nr))
}

fn args_7(env: &Env) -> Result<()> {
    number(env, 7)
}

fn args_8(env: &Env) -> Result<()> {
    number(env, 8)
}

fn args_9(env: &Env) -> Result<()> {
    number(env, 9)
}

fn args_10(env: &Env) -> Result<()> {
    number(env, 10)
}

fn args_11(env: &Env) -> Result<()> {
    number(env, 11)
}

fn args_12(env: &Env) -> Result<()> {
    number(env, 12)
}

/// `value` in a register or a word of the stack, where callers define 32 bits.
fn with_garbage(value: u64, nr: usize) -> u64 {
    (value & 0xffff_ffff) | ((0xdead_be00 + nr as u64) << 32)
}

/// What a word on the stack looks like to a program if it is the only one there
/// and 32 bits of it count.
fn half(word: u64) -> u64 {
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

/// What `STRUCT_16()` of the targets gives.
fn pair(first: u64, second: u64) -> u64 {
    fold(first, second)
}

fn in_order(env: &Env, function: &str, args: &[u64], ret: u64) -> Result<()> {
    Call {
        function,
        words: args,
        args,
        ret,
    }
    .check(env)
}

fn struct_8(env: &Env) -> Result<()> {
    let args @ [a, s, b] = words();
    let (low, high) = (half(s), (s >> 32) as i32 as u64);
    in_order(env, "struct_8", &args, sum(&[a, pair(low, high), b]))
}

fn struct_12(env: &Env) -> Result<()> {
    let args @ [first, second, a] = words();
    // Nobody defines the last 4 bytes of the second word.
    let ret = sum(&[pair(first, half(second)), a]);
    in_order(env, "struct_12", &args, ret)
}

fn struct_first(env: &Env) -> Result<()> {
    let args @ [first, second, a, b] = words();
    let ret = sum(&[pair(first, second), a, half(b)]);
    in_order(env, "struct_first", &args, ret)
}

fn struct_last(env: &Env) -> Result<()> {
    let args @ [a, b, c, d, first, second] = words();
    let ret = sum(&[a, b, c, d, pair(first, second)]);
    in_order(env, "struct_last", &args, ret)
}

fn struct_split(env: &Env) -> Result<()> {
    let args @ [a, b, c, d, e, first, second, f] = words();
    Call {
        function: "struct_split",
        words: &[a, b, c, d, e, f, first, second],
        args: &args,
        ret: sum(&[a, b, c, d, e, pair(first, second), f]),
    }
    .check(env)
}

fn struct_both(env: &Env) -> Result<()> {
    let args @ [s1, s2, a, b, c, t1, t2, d, u] = words();
    let (low, high) = (half(u), (u >> 32) as i32 as u64);
    Call {
        function: "struct_both",
        words: &[s1, s2, a, b, c, d, t1, t2, u],
        args: &args,
        ret: sum(&[
            pair(s1, s2),
            a,
            b,
            c,
            pair(t1, half(t2)),
            d,
            pair(low, high),
        ]),
    }
    .check(env)
}

fn struct_most(env: &Env) -> Result<()> {
    let args: [u64; 12] = words();
    let pairs: Vec<_> = args.chunks(2).map(|two| pair(two[0], two[1])).collect();
    in_order(env, "struct_most", &args, sum(&pairs))
}

fn ret_u64(env: &Env) -> Result<()> {
    // Such a sum as all of these functions return, of nothing but one bit.
    in_order(env, "args_1", &[1 << 63], fold(0, 1 << 63))
}

/// A function that returns its only argument, of a type that `convert` brings
/// any value to. What it leaves above it in the register is its own affair, but
/// the caller gets what programs saw.
fn returns(env: &Env, name: &str, value: u64, mask: u64) -> Result<()> {
    let function = format!("ret_{name}");
    let ret = env.targets()?.call(&function, &[value])?;
    check_eq!(ret & mask, value & mask, "untraced");
    in_order(env, &function, &[value], ret)
}

fn ret_u8(env: &Env) -> Result<()> {
    returns(env, "u8", 0x1234_5678_0000_00f5, 0xff)
}

fn ret_s16(env: &Env) -> Result<()> {
    returns(env, "s16", 0x1234_5678_ffff_8001, 0xffff)
}

fn ret_int(env: &Env) -> Result<()> {
    returns(env, "int", 0x1234_5678_ffff_fff2, 0xffff_ffff)
}

fn ret_bool(env: &Env) -> Result<()> {
    returns(env, "bool", 0x1234_5678_0000_0001, 0xff)?;
    returns(env, "bool", 0x1234_5678_0000_0000, 0xff)
}

fn ret_pointer(env: &Env) -> Result<()> {
    returns(env, "pointer", 0xffff_8880_1234_5678, u64::MAX)
}

fn ret_void(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let args: [u64; 2] = words();
    // What is in rax is nobody's business, as long as both see the same.
    let ret = targets.call("void", &args)?;
    in_order(env, "void", &args, ret)?;
    check_eq!(
        targets.call("void_saw", &[])?,
        sum(&args),
        "what the function saw"
    );
    Ok(())
}
