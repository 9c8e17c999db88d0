// SPDX-License-Identifier: GPL-2.0

//! Branches, and the instructions at their targets.

use super::super::disasm::decode;
use super::{assemble, number, one, registers, texts, IP};
use crate::builder::asm::{Cond, Label, RAX};
use crate::builder::{CallDepth, Callee, Error};

#[test]
fn without_operands() {
    assert_eq!(one("leave", |a| a.leave()), 1);
    assert_eq!(one("ret", |a| a.ret()), 1);
    assert_eq!(one("int3", |a| a.int3()), 1);
    assert_eq!(one("endbr64", |a| a.endbr64()), 4);
    assert_eq!(one("nop [rax-0x2a]", |a| a.endbr_poison()), 4);
    // The target is three bytes into the next instruction.
    let udb = number(IP + 10);
    assert_eq!(
        one(&format!("hint-not-taken jne {udb}"), |a| a.jne_udb()),
        7
    );
}

#[test]
fn through_a_register() {
    for (reg, r64, r32) in registers() {
        let upper = usize::from(r32.starts_with('r'));
        assert_eq!(one(&format!("call {r64}"), |a| a.call_reg(reg)), 2 + upper);
    }
}

/// Targets at the limits of a `call` or `jmp` at `IP`, by the number of bytes before and after the
/// displacement.
fn reach(before: u64, behind: u64) -> ([u64; 3], [u64; 3]) {
    let end = IP + before + 4 + behind;
    let far = 1_u64 << 31;
    (
        [end, end.wrapping_add(far - 1), end.wrapping_sub(far)],
        [
            end.wrapping_add(far),
            end.wrapping_sub(far + 1),
            end.wrapping_add(1 << 63),
        ],
    )
}

#[test]
fn to_other_code() {
    let callee = |addr| Callee {
        addr,
        counted: false,
    };
    let (near, far) = reach(1, 0);
    for to in near {
        let call = format!("call {}", number(to));
        assert_eq!(one(&call, |a| a.call(callee(to))), 5);
        let jmp = format!("jmp {}", number(to));
        assert_eq!(one(&jmp, |a| a.jmp(to)), 5);
    }
    for to in far {
        let call = assemble(None, |a| a.call(callee(to)));
        assert_eq!(call, Err(Error::OutOfRange));
        let jmp = assemble(None, |a| a.jmp(to));
        assert_eq!(jmp, Err(Error::OutOfRange));
    }
    let (near, far) = reach(3, 0);
    for to in near {
        let call = format!("call {}", number(to));
        assert_eq!(one(&call, |a| a.cs_cs_call(to)), 7);
    }
    for to in far {
        let call = assemble(None, |a| a.cs_cs_call(to));
        assert_eq!(call, Err(Error::OutOfRange));
    }
}

#[test]
fn accounting() {
    let account = |depth, calls| {
        let counters = CallDepth { depth, calls };
        assemble(Some(counters), |a| a.account_call())
    };
    let (near, far) = reach(4, 1);
    for depth in near {
        let sar = format!("sar qword ptr gs:[{}],5", number(depth));
        assert_eq!(texts(&account(depth, None).unwrap()), [sar]);
    }
    for depth in far {
        assert_eq!(account(depth, None), Err(Error::OutOfRange));
    }
    let (near, far) = reach(9 + 4, 0);
    for calls in near {
        let inc = format!("inc qword ptr gs:[{}]", number(calls));
        assert_eq!(texts(&account(IP, Some(calls)).unwrap())[1..], [inc]);
    }
    for calls in far {
        assert_eq!(account(IP, Some(calls)), Err(Error::OutOfRange));
    }
    assert_eq!(assemble(None, |a| a.account_call()), Ok(Vec::new()));
}

#[test]
fn accounted_calls() {
    let counters = CallDepth {
        depth: IP,
        calls: None,
    };
    for (counted, expected) in [(true, 1), (false, 2)] {
        let callee = Callee { addr: IP, counted };
        let code = assemble(Some(counters), |a| a.call(callee)).unwrap();
        assert_eq!(texts(&code).len(), expected);
    }
}

/// A jump over `gap` one-byte instructions.
fn jump_over(cond: Cond, short: bool, gap: u16) -> Result<Vec<u8>, Error> {
    assemble(None, |a| {
        let mut label = Label::new();
        let jump = if short {
            Some(a.jcc_short(cond)?)
        } else {
            a.jcc(cond, &mut label)?;
            None
        };
        let behind = a.address();
        for _ in 0..gap {
            a.leave()?;
        }
        assert_eq!(a.address(), behind + u64::from(gap));
        assert_eq!(a.address(), IP + u64::from(a.pos()));
        a.bind(label)?;
        jump.map_or(Ok(()), |jump| a.bind_short(jump))
    })
}

#[test]
fn jumps() {
    for (cond, name) in [(Cond::E, "je"), (Cond::Ne, "jne")] {
        for gap in [0, 1, 127, 128, 200] {
            let near = jump_over(cond, false, gap).unwrap();
            let there = number(IP + 6 + u64::from(gap));
            assert_eq!(texts(&near)[0], format!("{name} {there}"));

            let short = jump_over(cond, true, gap);
            if gap <= 127 {
                let there = number(IP + 2 + u64::from(gap));
                assert_eq!(texts(&short.unwrap())[0], format!("{name} short {there}"));
            } else {
                assert_eq!(short, Err(Error::OutOfRange));
            }
        }
    }
}

#[test]
fn jumps_to_one_label() {
    let code = assemble(None, |a| {
        let mut label = Label::new();
        a.jcc(Cond::E, &mut label)?;
        let short = a.jcc_short(Cond::Ne)?;
        a.push(RAX)?;
        a.jcc(Cond::E, &mut label)?;
        a.jcc(Cond::Ne, &mut label)?;
        a.bind(label)?;
        a.bind_short(short)?;
        a.ret()
    });
    let code = code.unwrap();
    let insns = decode(&code, IP);
    let ret = insns.last().unwrap().ip();
    let targets: Vec<_> = insns.iter().map(|i| i.near_branch_target()).collect();
    assert_eq!(targets, [ret, ret, 0, ret, ret, 0]);
}
