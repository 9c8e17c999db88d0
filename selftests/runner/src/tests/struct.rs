// SPDX-License-Identifier: GPL-2.0

//! Structs by value, through the functions of the test targets.

use anyhow::Result;

use super::onto::{in_order, words, Call};
use super::width::half;
use crate::harness::Env;
use crate::targets::{fold, sum};

tests! {
    struct_8: "a struct of 8 bytes, by value",
    struct_12: "a struct of 12 bytes",
    struct_first: "a struct of 16 bytes in the first two registers",
    struct_last: "a struct in the last two registers",
    struct_split: "a struct on the stack, an argument in a register after",
    struct_both: "structs in registers and on the stack",
    struct_most: "six structs, as many words as there can be",
}

/// What `STRUCT_16()` of the targets gives.
fn pair(first: u64, second: u64) -> u64 {
    fold(first, second)
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
