// SPDX-License-Identifier: GPL-2.0

//! Every instruction form with every register and every class of displacement and immediate,
//! read back by a disassembler.

use super::disasm::{decode, text, Symbols};
use crate::trampoline::asm::{Asm, Cond, Gpr, Label, Mem, RAX};
use crate::trampoline::sink::Sink;
use crate::trampoline::{CallDepth, Callee, Error};
use iced_x86::Mnemonic;

const IP: u64 = 0xffff_ffff_c000_0100;

const R64: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
const R32: [&str; 16] = [
    "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d",
    "r13d", "r14d", "r15d",
];

/// On both sides of where a displacement or an immediate grows from one byte to four.
const EDGES: [i32; 9] = [0, 8, -8, 127, 128, -128, -129, i32::MAX, i32::MIN];

type Emit<'e> = dyn FnOnce(&mut Asm<'_>) -> Result<(), Error> + 'e;

/// The bytes that `emit` puts.
fn assemble(call_depth: Option<CallDepth>, emit: Box<Emit<'_>>) -> Result<Vec<u8>, Error> {
    let mut code = [0; 256];
    let mut asm = Asm::new(Sink::over(&mut code, IP), call_depth);
    emit(&mut asm)?;
    let len = asm.pos();
    Ok(code[..len.into()].to_vec())
}

/// Checks that `emit` puts one instruction with this text, and gives its length.
fn one<'e>(expected: &str, emit: impl FnOnce(&mut Asm<'_>) -> Result<(), Error> + 'e) -> usize {
    let code = assemble(None, Box::new(emit)).unwrap();
    let insns = decode(&code, IP);
    let texts: Vec<_> = insns.iter().map(|i| text(i, &Symbols::new())).collect();
    assert_eq!(texts, [expected], "{code:02x?}");
    code.len()
}

fn registers() -> impl Iterator<Item = (Gpr, &'static str, &'static str)> {
    (0..16).map(|n| (Gpr::ALL[n], R64[n], R32[n]))
}

/// A number as the disassembler writes it.
fn number(n: u64) -> String {
    if n < 10 {
        format!("{n}")
    } else {
        format!("{n:#x}")
    }
}

/// The bytes that a displacement or an immediate takes where one byte may do.
fn width(n: i32) -> usize {
    if i8::try_from(n).is_ok() {
        1
    } else {
        4
    }
}

/// Every base with every displacement: operand, its text, the bytes of its ModR/M and SIB.
fn operands() -> impl Iterator<Item = (Mem, String, usize)> {
    registers().flat_map(|(base, name, _)| {
        EDGES.map(|disp| {
            let distance = number(disp.unsigned_abs().into());
            let text = match disp {
                0 => format!("[{name}]"),
                1.. => format!("[{name}+{distance}]"),
                _ => format!("[{name}-{distance}]"),
            };
            let sib = matches!(name, "rsp" | "r12");
            (Mem { base, disp }, text, 1 + usize::from(sib))
        })
    })
}

#[test]
fn between_registers() {
    for (dst, d64, d32) in registers() {
        for (src, s64, s32) in registers() {
            let upper = usize::from(d32.starts_with('r') || s32.starts_with('r'));
            assert_eq!(one(&format!("mov {d64},{s64}"), |a| a.mov(dst, src)), 3);
            let len = one(&format!("mov {d32},{s32}"), |a| a.mov32(dst, src));
            assert_eq!(len, 2 + upper);
            assert_eq!(one(&format!("test {d64},{s64}"), |a| a.test(dst, src)), 3);
        }
    }
}

#[test]
fn of_one_register() {
    for (reg, r64, r32) in registers() {
        let upper = usize::from(r32.starts_with('r'));
        assert_eq!(one(&format!("push {r64}"), |a| a.push(reg)), 1 + upper);
        assert_eq!(one(&format!("call {r64}"), |a| a.call_reg(reg)), 2 + upper);
    }
}

#[test]
fn between_register_and_memory() {
    for (mem, m, rm) in operands() {
        for (reg, r64, _) in registers() {
            let load = format!("mov {r64},{m}");
            let (head, short) = (2 + rm, 2 + rm + width(mem.disp));
            assert_eq!(one(&load, |a| a.load(reg, mem)), short);
            assert_eq!(one(&load, |a| a.load_disp32(reg, mem)), head + 4);
            let store = format!("mov {m},{r64}");
            assert_eq!(one(&store, |a| a.store(mem, reg)), short);
            let lea = format!("lea {r64},{m}");
            assert_eq!(one(&lea, |a| a.lea(reg, mem)), short);
        }
    }
}

#[test]
fn between_memory_and_immediate() {
    for (mem, m, _) in operands() {
        for imm in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
            let text = format!("mov dword ptr {m},{}", number(imm.into()));
            one(&text, |a| a.store32_imm(mem, imm));
        }
        for imm in [0, 1, i8::MAX] {
            let text = format!("cmp qword ptr {m},{}", number(imm.unsigned_abs().into()));
            one(&text, |a| a.cmp_imm8(mem, imm));
        }
        let text = format!("cmp qword ptr {m},0xffffffffffffff80");
        one(&text, |a| a.cmp_imm8(mem, i8::MIN));
    }
}

/// The immediates at which `mov` changes its form, and the length of each.
#[test]
fn between_register_and_immediate() {
    for (reg, r64, r32) in registers() {
        let upper = usize::from(r32.starts_with('r'));
        let xor = format!("xor {r32},{r32}");
        assert_eq!(one(&xor, |a| a.mov_imm(reg, 0)), 2 + upper);
        for imm in [1, 9, 10, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            let mov = format!("mov {r32},{}", number(imm));
            assert_eq!(one(&mov, |a| a.mov_imm(reg, imm)), 5 + upper);
        }
        for imm in [u64::MAX, 0xffff_ffff_8000_0000, 0xffff_ffff_8123_4567] {
            let mov = format!("mov {r64},{}", number(imm));
            assert_eq!(one(&mov, |a| a.mov_imm(reg, imm)), 7);
        }
        for imm in [
            1 << 32,
            0xffff_ffff_7fff_ffff,
            1 << 63,
            0x1122_3344_5566_7788,
        ] {
            let mov = format!("mov {r64},{}", number(imm));
            assert_eq!(one(&mov, |a| a.mov_imm(reg, imm)), 10);
        }
        for imm in [0, 0xdead_beef] {
            let mov = format!("mov {r32},{}", number(imm.into()));
            assert_eq!(one(&mov, |a| a.mov32_imm(reg, imm)), 5 + upper);
        }
        for imm in EDGES {
            let shown = number(i64::from(imm) as u64);
            let len = 3 + width(imm);
            assert_eq!(
                one(&format!("add {r64},{shown}"), |a| a.add_imm(reg, imm)),
                len
            );
            assert_eq!(
                one(&format!("sub {r64},{shown}"), |a| a.sub_imm(reg, imm)),
                len
            );
        }
    }
    for imm in [0, 1, 0xdead_0000] {
        let text = format!("sub eax,{}", number(imm.into()));
        assert_eq!(one(&text, |a| a.sub_eax_imm(imm)), 5);
    }
}

#[test]
fn without_operands() {
    assert_eq!(one("leave", |a| a.leave()), 1);
    assert_eq!(one("ret", |a| a.ret()), 1);
    assert_eq!(one("int3", |a| a.int3()), 1);
    assert_eq!(one("endbr64", |a| a.endbr64()), 4);
    assert_eq!(one("nop [rax-0x2a]", |a| a.endbr_poison()), 4);
    // Three bytes into what follows.
    let udb = number(IP + 10);
    assert_eq!(
        one(&format!("hint-not-taken jne {udb}"), |a| a.jne_udb()),
        7
    );
}

/// The nops of `arch/x86/include/asm/nops.h`, which are those of the GNU assembler.
const NOPS: [&str; 11] = [
    "90",
    "66 90",
    "0f 1f 00",
    "0f 1f 40 00",
    "0f 1f 44 00 00",
    "66 0f 1f 44 00 00",
    "0f 1f 80 00 00 00 00",
    "0f 1f 84 00 00 00 00 00",
    "2e 0f 1f 84 00 00 00 00 00",
    "66 2e 0f 1f 84 00 00 00 00 00",
    "66 66 2e 0f 1f 84 00 00 00 00 00",
];

#[test]
fn nops() {
    assert_eq!(assemble(None, Box::new(|a| a.nop(0))).unwrap(), []);
    for len in 1..=64_usize {
        let code = assemble(None, Box::new(move |a| a.nop(len as u16))).unwrap();
        // As many of the longest as there are, then the rest.
        let mut expected = vec![NOPS[10]; len / 11];
        expected.extend((len % 11).checked_sub(1).map(|rest| NOPS[rest]));
        let bytes: Vec<_> = code.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes.join(" "), expected.join(" "));

        let insns = decode(&code, IP);
        assert_eq!(insns.len(), expected.len());
        assert!(insns.iter().all(|insn| insn.mnemonic() == Mnemonic::Nop));
    }
}

/// Targets at the edges of what a `call` or `jmp` at `IP` reaches, by the length of what is before
/// the displacement and behind it.
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
        assert_eq!(
            one(&format!("call {}", number(to)), |a| a.call(callee(to))),
            5
        );
        assert_eq!(one(&format!("jmp {}", number(to)), |a| a.jmp(to)), 5);
    }
    for to in far {
        let call = assemble(None, Box::new(move |a| a.call(callee(to))));
        assert_eq!(call, Err(Error::OutOfRange));
        let jmp = assemble(None, Box::new(move |a| a.jmp(to)));
        assert_eq!(jmp, Err(Error::OutOfRange));
    }
    let (near, far) = reach(3, 0);
    for to in near {
        let text = format!("call {}", number(to));
        assert_eq!(one(&text, |a| a.cs_cs_call(to)), 7);
    }
    for to in far {
        let call = assemble(None, Box::new(move |a| a.cs_cs_call(to)));
        assert_eq!(call, Err(Error::OutOfRange));
    }
}

#[test]
fn accounting() {
    let account = |depth, calls| {
        let counters = CallDepth { depth, calls };
        assemble(Some(counters), Box::new(|a| a.account_call()))
    };
    let (near, far) = reach(4, 1);
    for depth in near {
        let code = account(depth, None).unwrap();
        let insns = decode(&code, IP);
        let texts: Vec<_> = insns.iter().map(|i| text(i, &Symbols::new())).collect();
        assert_eq!(texts, [format!("sar qword ptr gs:[{}],5", number(depth))]);
    }
    for depth in far {
        assert_eq!(account(depth, None), Err(Error::OutOfRange));
    }
    let (near, far) = reach(9 + 4, 0);
    for calls in near {
        let code = account(IP, Some(calls)).unwrap();
        let insns = decode(&code, IP);
        let inc = text(&insns[1], &Symbols::new());
        assert_eq!(inc, format!("inc qword ptr gs:[{}]", number(calls)));
    }
    for calls in far {
        assert_eq!(account(IP, Some(calls)), Err(Error::OutOfRange));
    }
}

#[test]
fn accounted_calls() {
    let counters = CallDepth {
        depth: IP,
        calls: None,
    };
    for (counted, expected) in [(true, 1), (false, 2)] {
        let callee = Callee { addr: IP, counted };
        let code = assemble(Some(counters), Box::new(move |a| a.call(callee))).unwrap();
        assert_eq!(decode(&code, IP).len(), expected);
    }
}

/// A jump over `gap` one-byte instructions.
fn jump_over(cond: Cond, short: bool, gap: u16) -> Result<Vec<u8>, Error> {
    assemble(
        None,
        Box::new(move |a| {
            let mut label = Label::<1>::new();
            if short {
                a.jcc_short(cond, &mut label)?;
            } else {
                a.jcc(cond, &mut label)?;
            }
            for _ in 0..gap {
                a.leave()?;
            }
            a.bind(label)
        }),
    )
}

#[test]
fn jumps() {
    for (cond, name) in [(Cond::E, "je"), (Cond::Ne, "jne")] {
        for gap in [0, 1, 127, 128, 200] {
            let near = jump_over(cond, false, gap).unwrap();
            let there = number(IP + 6 + u64::from(gap));
            let text_of = |code: &[u8]| text(&decode(code, IP)[0], &Symbols::new());
            assert_eq!(text_of(&near), format!("{name} {there}"));

            let short = jump_over(cond, true, gap);
            if gap <= 127 {
                let there = number(IP + 2 + u64::from(gap));
                assert_eq!(text_of(&short.unwrap()), format!("{name} short {there}"));
            } else {
                assert_eq!(short, Err(Error::OutOfRange));
            }
        }
    }
}

#[test]
fn jumps_to_one_label() {
    let code = assemble(
        None,
        Box::new(|a| {
            let mut label = Label::<3>::new();
            a.jcc(Cond::E, &mut label)?;
            a.jcc_short(Cond::Ne, &mut label)?;
            a.push(RAX)?;
            a.jcc(Cond::E, &mut label)?;
            assert_eq!(a.jcc(Cond::E, &mut label), Err(Error::OutOfRange));
            a.bind(label)?;
            a.ret()
        }),
    );
    let code = code.unwrap();
    let insns = decode(&code, IP);
    let ret = insns.last().unwrap().ip();
    let targets: Vec<_> = insns.iter().map(|i| i.near_branch_target()).collect();
    // The fourth jump found no room in the label and leads to what follows it, which is the same.
    assert_eq!(targets, [ret, ret, 0, ret, ret, 0]);
}

#[test]
fn a_full_sink() {
    let mut code = [0xcc; 8];
    let mut asm = Asm::new(Sink::over(&mut code[..4], IP), None);
    asm.endbr64().unwrap();
    assert_eq!(asm.leave(), Err(Error::TooBig));
    assert_eq!(asm.pos(), 4);
    assert_eq!(code, [0xf3, 0x0f, 0x1e, 0xfa, 0xcc, 0xcc, 0xcc, 0xcc]);
}

#[test]
fn a_sink_patches_only_what_it_has() {
    let mut code = [0xcc; 8];
    let mut sink = Sink::over(&mut code, IP);
    sink.put(&[1, 2, 3, 4]).unwrap();
    sink.patch(1, &[9, 9]).unwrap();
    assert_eq!(sink.patch(3, &[8, 8]), Err(Error::TooBig));
    assert_eq!(sink.patch(u16::MAX, &[8]), Err(Error::TooBig));
    assert_eq!(sink.address(2), IP + 6);
    assert_eq!(code, [1, 9, 9, 4, 0xcc, 0xcc, 0xcc, 0xcc]);

    let mut count = Sink::counting(IP);
    count.put(&[0; 300]).unwrap();
    assert_eq!(count.patch(296, &[0; 5]), Err(Error::TooBig));
    assert_eq!(count.pos(), 300);
    // A page without the safety tail, and not a byte more.
    count.put(&[0; 3732]).unwrap();
    assert_eq!(count.put(&[0]), Err(Error::TooBig));
    assert_eq!(count.put(&[0; 70_000]), Err(Error::TooBig));
    assert_eq!(count.pos(), 4032);
}
