// SPDX-License-Identifier: GPL-2.0

//! Properties of all images, tested with arbitrary requests.

use super::disasm::decode;
use super::fixture::{program, Case, IP};
use super::strategy::{cases, programs_alike, sane_cases};
use crate::builder::{build, Draft, Error, Flags, Preamble, Program, Skip, PATCH_SIZE};
use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};
use proptest::prelude::*;

const NOP5: [u8; 5] = [0x0f, 0x1f, 0x44, 0x00, 0x00];

/// The programs of an image in the order of their calls.
fn in_order(case: &Case) -> impl Iterator<Item = &Program> {
    case.fentry.iter().chain(&case.fmod_ret).chain(&case.fexit)
}

/// Addresses outside of an image that it may call or jump to.
fn outside(case: &Case) -> Vec<u64> {
    let machine = &case.machine;
    let mut known = vec![machine.tramp_enter.addr, machine.tramp_exit.addr];
    known.extend(machine.return_thunk);
    known.extend(in_order(case).flat_map(|p| [p.entry.addr, p.enter.addr, p.exit.addr]));
    let endbr = if case.target.endbr { 4 } else { 0 };
    known.push(case.target.addr + endbr + 5);
    if let Preamble::FineIbt { bhi, .. } = case.target.preamble {
        known.extend(bhi);
    }
    known
}

/// Whether this is the jump of a FineIBT check, which leads into the poison that follows.
fn is_failed_check(insn: &Instruction) -> bool {
    insn.code() == Code::Jne_rel32_64 && insn.len() == 7
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// The builder returns for every request, address and buffer, and writes only to the buffers.
    #[test]
    fn any_request_gets_an_answer(
        case in cases(),
        ip: u64,
        room in 0..4200_usize,
        records in 0..40_usize,
    ) {
        let mut buf = vec![0xa5; room + 64];
        let mut skips = vec![Skip { prog: 1, nop: 2, target: 3 }; records + 4];
        let untouched = skips[0];
        let built = build(&case.request(), ip, &mut buf[..room], &mut skips[..records], &mut Draft::default());

        prop_assert!(buf[room..].iter().all(|&byte| byte == 0xa5));
        prop_assert!(skips[records..].iter().all(|&skip| skip == untouched));
        match (case.draft_at(ip), built) {
            (Ok(size), Ok(image)) => {
                prop_assert_eq!(size, image);
                prop_assert!(usize::from(image.code_len) <= room);
                prop_assert!(usize::from(image.nr_skips) <= records);
                prop_assert!(buf[image.code_len.into()..].iter().all(|&byte| byte == 0xa5));
            }
            // The draft had buffers that are large enough, but no place for copies.
            (Ok(size), Err(error)) => {
                let fits = usize::from(size.code_len) <= room;
                let fits = fits && usize::from(size.nr_skips) <= records;
                prop_assert_eq!(error, if fits { Error::OutOfRange } else { Error::TooBig });
            }
            (Err(draft), Err(error)) => prop_assert!(
                error == draft || error == Error::TooBig || draft == Error::TooBig),
            (Err(_), Ok(_)) => prop_assert!(false, "built what cannot be drafted"),
        }
    }

    /// A buffer of the size of the code is large enough, and one with a byte less is not.
    #[test]
    fn every_byte_is_bounded(case in sane_cases(), cut in any::<prop::sample::Index>()) {
        let whole = case.build().unwrap();
        let len = whole.code.len();
        let mut skips = vec![Skip::default(); whole.skips.len()];

        let mut exact = vec![0; len];
        prop_assert_eq!(build(&case.request(), IP, &mut exact, &mut skips, &mut Draft::default()), Ok(whole.image));
        prop_assert_eq!(&exact, &whole.code);

        for short in [len - 1, cut.index(len)] {
            let mut buf = vec![0xa5; len];
            let built = build(&case.request(), IP, &mut buf[..short], &mut skips, &mut Draft::default());
            prop_assert_eq!(built, Err(Error::TooBig));
            prop_assert!(buf[short..].iter().all(|&byte| byte == 0xa5));
        }
        if let Some((_, fewer)) = skips.split_last_mut() {
            let built = build(&case.request(), IP, &mut exact, fewer, &mut Draft::default());
            prop_assert_eq!(built, Err(Error::TooBig));
        }
    }

    /// A draft that gets another place is the image that is built there.
    #[test]
    fn placed_is_built(case in sane_cases(), by in -0x200_0000_i64..0x200_0000, page: u32) {
        let other = IP.wrapping_add_signed(by * 16);
        let image = 0xffff_8880_0000_0000 | (u64::from(page) << 8);
        let mut there = case.clone();
        there.image = image;
        match (case.placed(IP, other, image), there.build_at(other)) {
            (Ok(placed), Ok(built)) => prop_assert_eq!(placed, built),
            (Err(placed), Err(built)) => prop_assert_eq!(placed, built),
            // The case has one whose address takes less.
            (Err(placed), Ok(_)) => {
                prop_assert_eq!(placed, Error::Invalid);
                prop_assert!(i32::try_from(case.image as i64).is_ok()
                    || u32::try_from(case.image).is_ok());
            }
            (Ok(_), Err(error)) => prop_assert!(false, "placed, but built there: {error:?}"),
        }
    }

    /// Where it would be another image, none is made.
    #[test]
    fn not_every_place_will_do(case in sane_cases(), by in 1..16_u64) {
        let mut case = case;
        case.image |= 1 << 62;
        for (to, image) in [(IP + by, 0xffff_8880_0000_0000), (IP, 0), (IP, u64::MAX)] {
            prop_assert_eq!(case.placed(IP, to, image), Err(Error::Invalid));
        }
    }

    /// Where nothing changes, the draft is placed whatever the address of the image takes.
    #[test]
    fn any_draft_stays(case in sane_cases(), small: u32) {
        let mut case = case;
        case.image = small.into();
        prop_assert_eq!(case.placed(IP, IP, case.image), case.build());
    }

    /// A draft has the size of the image.
    #[test]
    fn drafted_is_built(case in sane_cases()) {
        let built = case.build().unwrap();
        prop_assert_eq!(case.draft_at(IP), Ok(built.image));
        prop_assert_eq!(usize::from(built.image.size()), built.code.len() + 64);
    }

    /// An image with programs that are alike is that in which each of them was emitted, as if it were
    /// the only one of its kind.
    #[test]
    fn copies_are_what_is_emitted(
        case in sane_cases(),
        alike in programs_alike(),
        split in any::<prop::sample::Index>(),
        ip in IP - 0x4000_0000..IP + 0x3000_0000,
    ) {
        let mut case = case;
        case.machine.call_depth = None;
        case.fmod_ret.clear();
        case.fexit.clear();
        case.fentry = alike;
        case.flags = Flags::CALL_ORIG;
        prop_assert_eq!(case.build_at(ip), case.emitted_at(ip));
        case.fexit = case.fentry.split_off(split.index(case.fentry.len() + 1));
        prop_assert_eq!(case.build_at(ip), case.emitted_at(ip));
        case.fmod_ret = std::mem::take(&mut case.fentry);
        prop_assert_eq!(case.build_at(ip), case.emitted_at(ip));
    }

    /// An image consists of valid instructions, and branches lead to one of them or to a known
    /// address outside.
    #[test]
    fn code_reads_back(case in sane_cases()) {
        let built = case.build().unwrap();
        let insns = decode(&built.code, IP);
        let starts: Vec<_> = insns.iter().map(Instruction::ip).collect();
        let outside = outside(&case);

        for insn in &insns {
            match insn.flow_control() {
                FlowControl::ConditionalBranch if is_failed_check(insn) => {
                    prop_assert_eq!(insn.near_branch_target(), insn.next_ip() + 3);
                }
                FlowControl::ConditionalBranch => {
                    prop_assert!(starts.contains(&insn.near_branch_target()));
                    prop_assert!(insn.near_branch_target() > insn.ip());
                }
                FlowControl::Call | FlowControl::UnconditionalBranch => {
                    prop_assert!(outside.contains(&insn.near_branch_target()));
                }
                FlowControl::IndirectCall => {
                    prop_assert!(case.flags.contains(Flags::ORIG_STACK | Flags::CALL_ORIG));
                }
                FlowControl::Next | FlowControl::Return | FlowControl::Interrupt => {}
                other => prop_assert!(false, "{other:?} in an image"),
            }
        }

        let mut tail: Vec<_> = insns.iter().rev().map(Instruction::mnemonic).collect();
        if tail[0] == Mnemonic::Int3 {
            prop_assert!(case.machine.sls && case.machine.return_thunk.is_none());
            tail.remove(0);
        }
        let ends = if case.machine.return_thunk.is_some() { Mnemonic::Jmp } else { Mnemonic::Ret };
        prop_assert_eq!(tail[0], ends);
        prop_assert_eq!(tail.iter().filter(|&&m| m == ends).count(), 1);
    }

    /// The marks are at the first instruction with the frame and after the last.
    #[test]
    fn marks_enclose_the_frame(case in sane_cases()) {
        let built = case.build().unwrap();
        let insns = decode(&built.code, IP);
        let ends_at = |mark: u16| {
            let before = insns.iter().find(|insn| insn.next_ip() == IP + u64::from(mark));
            before.map(Instruction::mnemonic)
        };
        prop_assert_eq!(ends_at(built.image.fp_start), Some(Mnemonic::Mov));
        prop_assert_eq!(ends_at(built.image.fp_end), Some(Mnemonic::Leave));
        let start = usize::from(built.image.fp_start);
        prop_assert_eq!(&built.code[start - 4..start], &[0x55, 0x48, 0x89, 0xe5]);
    }

    /// Each program call has a record, in order, from the nop to the end of the exit call.
    #[test]
    fn records_enclose_the_calls(case in sane_cases()) {
        let built = case.build().unwrap();
        let insns = decode(&built.code, IP);
        prop_assert_eq!(built.skips.len(), in_order(&case).count());

        let mut end = 0;
        for (skip, program) in built.skips.iter().zip(in_order(&case)) {
            prop_assert_eq!(skip.prog, program.prog);
            prop_assert!(skip.nop >= end && skip.target > skip.nop);
            end = skip.target;
            let nop = usize::from(skip.nop);
            prop_assert_eq!(&built.code[nop..nop + usize::from(PATCH_SIZE)], &NOP5);

            let within = |insn: &&Instruction| {
                insn.ip() >= IP + u64::from(skip.nop) && insn.ip() < IP + u64::from(skip.target)
            };
            let calls: Vec<_> = insns
                .iter()
                .filter(within)
                .filter(|insn| insn.mnemonic() == Mnemonic::Call)
                .collect();
            let targets: Vec<_> = calls.iter().map(|c| c.near_branch_target()).collect();
            let expected = [program.enter, program.entry, program.exit].map(|callee| callee.addr);
            prop_assert_eq!(targets, expected);
            prop_assert_eq!(calls[2].next_ip(), IP + u64::from(skip.target));
        }
    }

    /// Stores are in the frame, and the frame has space for everything that is stored.
    #[test]
    fn stores_stay_in_the_frame(case in sane_cases()) {
        let built = case.build().unwrap();
        let insns = decode(&built.code, IP);
        let sub = insns.iter().find(|insn| insn.mnemonic() == Mnemonic::Sub
            && insn.op0_register() == Register::RSP);
        let size = sub.unwrap().immediate(1) as i64;
        prop_assert_eq!(size % 8, 0);

        for insn in &insns {
            if insn.op0_kind() != OpKind::Memory || insn.mnemonic() == Mnemonic::Nop
                || insn.segment_prefix() == Register::GS {
                continue;
            }
            prop_assert_eq!(insn.memory_base(), Register::RBP);
            let at = insn.memory_displacement64() as i64;
            let bytes = insn.memory_size().size() as i64;
            prop_assert!(at >= -size && at + bytes <= 0, "{at} of {size}");
        }
        let pushes = insns.iter().filter(|insn| insn.mnemonic() == Mnemonic::Push).count();
        prop_assert_eq!(pushes, 1 + usize::from(case.flags.contains(Flags::TAIL_CALL_CTX)));
    }

    /// The stack has the caller's alignment where the function is called with arguments on the
    /// stack.
    #[test]
    fn stack_arguments_are_aligned(
        case in sane_cases(),
        words in 7..=12_usize,
        skip_frame: bool,
    ) {
        let mut case = case;
        case.flags = if skip_frame { Flags::SKIP_FRAME } else { Flags::IP_ARG } | Flags::CALL_ORIG;
        case.target.model = Case::new(&vec![8; words], case.flags).target.model;
        let insns = decode(&case.build().unwrap().code, IP);
        let sub = insns.iter().find(|insn| insn.mnemonic() == Mnemonic::Sub
            && insn.op0_register() == Register::RSP);
        let jumped = case.machine.jmp && !case.flags.contains(Flags::SKIP_FRAME);
        let above = if jumped { 16 } else { 24 };
        prop_assert_eq!((sub.unwrap().immediate(1) + above) % 16, 0);
    }

    /// The exit programs behind fmod_ret programs are aligned to 16 bytes, in the C builder's
    /// scratch buffer or where the image runs.
    #[test]
    fn replaced_functions_end_up_aligned(
        case in sane_cases(),
        in_scratch: bool,
        scratch_align in 0..16_u8,
        ip in IP..IP + 64,
    ) {
        let mut case = case;
        case.scratch_align = scratch_align;
        case.machine.quirks.aligned_in_scratch = in_scratch;
        case.flags = Flags::CALL_ORIG;
        case.fmod_ret.push(program(0));
        let insns = decode(&case.build_at(ip).unwrap().code, ip);
        let jumps: Vec<_> = insns
            .iter()
            .filter(|insn| insn.mnemonic() == Mnemonic::Jne)
            .map(Instruction::near_branch_target)
            .collect();
        prop_assert_eq!(jumps.len(), case.fmod_ret.len());
        let base = if in_scratch { ip - u64::from(scratch_align) } else { 0 };
        prop_assert!(jumps.iter().all(|&to| to == jumps[0] && (to - base) % 16 == 0));
    }
}
