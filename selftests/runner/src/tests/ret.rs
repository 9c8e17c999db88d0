// SPDX-License-Identifier: GPL-2.0

//! Return values of every width, through the functions of the test targets.

use anyhow::Result;

use super::onto::{in_order, words};
use crate::harness::Env;
use crate::targets::{fold, sum};

tests! {
    ret_u64: "64 bits as return value",
    ret_u8: "u8, and what is above it in the register",
    ret_s16: "s16, likewise",
    ret_int: "a negative int",
    ret_bool: "true and false",
    ret_pointer: "a pointer as return value",
    ret_void: "nothing is returned, arguments arrive",
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
