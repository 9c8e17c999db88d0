// SPDX-License-Identifier: GPL-2.0

//! Whole images against listings written by hand from the reference.
//!
//! A listing has one instruction a line: its bytes, two blanks, its text, and a comment after a
//! semicolon. `=name` stands for the four bytes that reach from there to a symbol, with `-n` where
//! the instruction has `n` bytes more; `#name` for the eight bytes of its address. A name with a
//! colon is a label. Bytes and texts are checked against the image, and against each other by a
//! disassembler.

use super::disasm::{decode, text, Symbols};
use super::fixture::{
    bhi_args, call_depth, interpreted, program, return_thunk, session, symbols, Built, Case, IP,
};
use crate::trampoline::{CallDepth, Callee, Flags, FuncModel, Preamble, Program};

/// A listing, read.
struct Listing {
    code: Vec<u8>,
    texts: Vec<String>,
    symbols: Symbols,
}

impl Listing {
    fn read(source: &str) -> Self {
        let mut listing = Self {
            code: Vec::new(),
            texts: Vec::new(),
            symbols: symbols(),
        };
        for line in source.lines() {
            let line = line.split(';').next().unwrap().trim();
            if let Some(label) = line.strip_suffix(':') {
                let here = IP + listing.code.len() as u64;
                let doubled = listing.symbols.insert(here, label.into());
                assert_eq!(doubled, None, "two names for one place");
            } else if let Some((bytes, text)) = line.split_once("  ") {
                for token in bytes.split(' ') {
                    listing.put(token);
                }
                listing.texts.push(text.trim().into());
            } else {
                assert_eq!(line, "", "bytes without text");
            }
        }
        listing
    }

    fn put(&mut self, token: &str) {
        if let Some(name) = token.strip_prefix('#') {
            let address = self.find(name);
            self.code.extend(address.to_le_bytes());
        } else if let Some(name) = token.strip_prefix('=') {
            let (name, more) = name.split_once('-').unwrap_or((name, "0"));
            let end = IP + self.code.len() as u64 + 4 + more.parse::<u64>().unwrap();
            let distance = self.find(name).wrapping_sub(end) as i64;
            let distance = i32::try_from(distance).unwrap();
            self.code.extend(distance.to_le_bytes());
        } else {
            self.code.push(u8::from_str_radix(token, 16).unwrap());
        }
    }

    fn find(&self, name: &str) -> u64 {
        let found = self.symbols.iter().find(|(_, n)| *n == name);
        *found.expect("a symbol of the fixture").0
    }
}

/// Builds `case` and compares it with a listing.
fn check(case: &Case, source: &str) -> Built {
    let listing = Listing::read(source);
    let built = case.build().unwrap();

    let mut symbols = listing.symbols.clone();
    // Marks are names for places, not for what instructions refer to.
    let mut mark = |name| {
        let found = symbols.iter().find(|(_, n)| *n == name);
        let address = *found.expect("the listing has its marks").0;
        symbols.remove(&address);
        address - IP
    };
    assert_eq!(u64::from(built.image.fp_start), mark("fp_start"));
    assert_eq!(u64::from(built.image.fp_end), mark("fp_end"));
    // Inside the poison, where a failed FineIBT check goes.
    symbols.insert(IP + 19, "udb".into());

    let texts = |code: &[u8]| -> Vec<_> {
        let insns = decode(code, IP);
        insns.iter().map(|insn| text(insn, &symbols)).collect()
    };
    assert_eq!(texts(&listing.code), listing.texts, "the listing itself");
    assert_eq!(texts(&built.code), listing.texts);
    assert_eq!(built.code, listing.code);
    built
}

#[test]
fn nothing() {
    let case = Case::new(&[], Flags::RESTORE_REGS);
    let built = check(&case, include_str!("../../golden/nothing.lst"));
    assert_eq!(built.skips, []);
    assert_eq!(built.image.size(), 25 + 64);
}

#[test]
fn fentry() {
    let mut case = Case::new(&[8, 8], Flags::RESTORE_REGS);
    case.fentry.push(program(0));
    let built = check(&case, include_str!("../../golden/fentry.lst"));

    let [skip] = built.skips[..] else {
        panic!("one program, one record");
    };
    assert_eq!(skip.prog, program(0).prog);
    assert_eq!((skip.nop, skip.target), (29, 98));
}

#[test]
fn session_with_cookies() {
    let both = Program {
        cookie: 0x1122_3344_5566_7788,
        ..session(1, true)
    };
    let case = Case::new(&[8, 4, 8], Flags::CALL_ORIG | Flags::IP_ARG).attach(both);
    let built = check(&case, include_str!("../../golden/session.lst"));
    assert_eq!(built.skips.len(), 2);
}

#[test]
fn fmod_ret() {
    let flags = Flags::CALL_ORIG | Flags::SKIP_FRAME | Flags::ORIG_STACK;
    let mut case = Case::new(&[], flags);
    case.fmod_ret.push(program(2));
    case.machine.return_thunk = Some(return_thunk());
    check(&case, include_str!("../../golden/fmod_ret.lst"));
}

#[test]
fn struct_ops() {
    let mut case = Case::new(&[], Flags::INDIRECT | Flags::RET_FENTRY_RET);
    case.target.model = FuncModel::new(&[8, 8], &[1 << 2, (1 << 2) | (1 << 3)]).unwrap();
    case.target.preamble = Preamble::FineIbt {
        hash: 0x1234_5678,
        bhi: None,
    };
    case.arena_base = Some(0xffff_c900_dead_0000);
    case.fentry.push(interpreted(0));
    check(&case, include_str!("../../golden/struct_ops.lst"));
}

#[test]
fn stack_args() {
    let case = Case::new(
        &[8, 8, 8, 8, 8, 16, 4],
        Flags::CALL_ORIG | Flags::SKIP_FRAME,
    );
    check(&case, include_str!("../../golden/stack_args.lst"));
}

#[test]
fn half_word() {
    let case = Case::new(&[8, 8, 8, 8, 8, 8, 4], Flags::CALL_ORIG);
    check(&case, include_str!("../../golden/half_word.lst"));
}

#[test]
fn tail_call() {
    let flags = Flags::CALL_ORIG | Flags::SKIP_FRAME | Flags::TAIL_CALL_CTX;
    check(
        &Case::new(&[8], flags),
        include_str!("../../golden/tail_call.lst"),
    );
}

#[test]
fn call_depth_tracking() {
    let mut case = Case::new(&[8], Flags::RESTORE_REGS | Flags::TAIL_CALL_CTX);
    let enter = Callee {
        counted: true,
        ..program(0).enter
    };
    case.fentry.push(Program {
        enter,
        ..program(0)
    });
    case.machine.call_depth = Some(call_depth());
    check(&case, include_str!("../../golden/call_depth.lst"));
}

/// The first bytes of an image that is called indirectly.
fn preamble(preamble: Preamble) -> Vec<u8> {
    let mut case = Case::new(&[], Flags::INDIRECT);
    case.target.preamble = preamble;
    let mut code = case.build().unwrap().code;
    let frame = code.windows(4).position(|w| w == [0x55, 0x48, 0x89, 0xe5]);
    code.truncate(frame.expect("the frame follows"));
    code
}

#[test]
fn preambles() {
    const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    // mov eax, hash; also where the hash is 0.
    const KCFI: [u8; 5] = [0xb8, 0, 0, 0, 0];

    assert_eq!(preamble(Preamble::None), []);
    assert_eq!(preamble(Preamble::Endbr), ENDBR);
    let kcfi = |padding, endbr| {
        preamble(Preamble::Kcfi {
            hash: 0,
            padding,
            endbr,
        })
    };
    assert_eq!(kcfi(0, false), KCFI);
    assert_eq!(kcfi(11, true), [&KCFI[..], &[0x90; 11], &ENDBR].concat());

    let fine = preamble(Preamble::FineIbt {
        hash: 0x8000_0001,
        bhi: Some(bhi_args(2)),
    });
    let insns = decode(&fine, IP);
    let texts: Vec<_> = insns.iter().map(|i| text(i, &symbols())).collect();
    assert_eq!(
        texts,
        [
            "endbr64",
            "sub eax,0x80000001",
            "call bhi_args_2",
            "nop [rax-0x2a]",
        ]
    );
    // Both conditional and call take the 7 bytes that a caller skips.
    assert_eq!(fine.len(), 20);
    assert_eq!(fine[9..11], [0x2e, 0x2e]);
}

#[test]
fn call_depth_without_the_debug_counter() {
    let mut case = Case::new(&[], Flags::RESTORE_REGS);
    case.machine.call_depth = Some(CallDepth {
        calls: None,
        ..call_depth()
    });
    let built = case.build().unwrap();
    assert_eq!(built.code[..4], [0x65, 0x48, 0xc1, 0x3d]);
    assert_eq!(built.code[8..10], [5, 0x55]);
    // An indirect caller accounts for its call.
    case.flags = Flags::INDIRECT;
    case.target.preamble = Preamble::None;
    assert_eq!(case.build().unwrap().code[0], 0x55);
}

/// What `arch_bpf_trampoline_size()` of a stock 7.2.12 returned for a function of one argument.
#[test]
fn sizes_of_a_stock_kernel() {
    let size = |case: Case| case.measure().unwrap().size();

    let mut fentry = Case::new(&[4], Flags::RESTORE_REGS);
    fentry.fentry.push(program(0));
    assert_eq!(size(fentry), 169);

    let sessions = |n| {
        let mut case = Case::new(&[4], Flags::CALL_ORIG);
        case.fentry = vec![session(0, true); n];
        case.fexit = case.fentry.clone();
        case
    };
    assert_eq!(size(sessions(1)), 330);
    assert_eq!(size(sessions(18)), 3517);
}
