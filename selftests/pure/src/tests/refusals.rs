// SPDX-License-Identifier: GPL-2.0

//! What gets no image, and the errno for it.

use super::disasm::decode;
use super::fixture::{call_depth, callee, program, return_thunk, session, Case, IP};
use crate::trampoline::{CallDepth, Error, Flags, FuncModel, Preamble, Quirks, MAX_LINKS};
use iced_x86::Mnemonic;

/// Further away from `IP` than a displacement reaches.
const FAR: u64 = IP - (1 << 31) - 0x1000;

/// Size run and build run refuse `case`, with the same error.
#[track_caller]
fn refused(case: &Case, error: Error) {
    assert_eq!(case.measure(), Err(error));
    assert_eq!(case.build().err(), Some(error));
}

#[test]
fn errno_values() {
    assert_eq!(Error::TooBig.to_errno(), -7); // E2BIG
    assert_eq!(Error::OutOfRange.to_errno(), -22); // EINVAL
    assert_eq!(Error::Invalid.to_errno(), -22); // EINVAL
    assert_eq!(Error::TooManyRegs.to_errno(), -524); // ENOTSUPP
    assert_eq!(Error::Uncovered.to_errno(), -95); // EOPNOTSUPP
}

/// The values of `BPF_TRAMP_F_*` in `include/linux/bpf.h`, in their order.
const FLAGS: [Flags; 9] = [
    Flags::RESTORE_REGS,
    Flags::CALL_ORIG,
    Flags::SKIP_FRAME,
    Flags::IP_ARG,
    Flags::RET_FENTRY_RET,
    Flags::ORIG_STACK,
    Flags::SHARE_IPMODIFY,
    Flags::TAIL_CALL_CTX,
    Flags::INDIRECT,
];

#[test]
fn known_and_unknown_flags() {
    for bit in 0..32 {
        let expected = FLAGS.get(bit).copied().ok_or(Error::Invalid);
        assert_eq!(Flags::from_bits(1 << bit), expected);
    }
    assert_eq!(Flags::from_bits((1 << 9) | 2), Err(Error::Invalid));
    let all = FLAGS
        .into_iter()
        .fold(Flags::default(), |all, flag| all | flag);
    assert_eq!(all.bits(), 0x1ff);
}

#[test]
fn malformed_models() {
    let model = |sizes: &[u8]| FuncModel::new(sizes, &vec![0; sizes.len()]);
    assert!(model(&[8; 12]).is_ok());
    assert_eq!(model(&[1; 13]), Err(Error::Invalid));
    assert!(model(&[16]).is_ok());
    assert_eq!(model(&[17]), Err(Error::Invalid));
    assert_eq!(FuncModel::new(&[8, 8], &[0]), Err(Error::Invalid));

    assert!(model(&[16; 6]).is_ok());
    assert_eq!(model(&[16; 7]), Err(Error::TooManyRegs));
    assert_eq!(
        model(&[9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]),
        Err(Error::TooManyRegs)
    );
}

#[test]
fn too_many_programs() {
    let mut case = Case::new(&[], Flags::CALL_ORIG);
    case.fentry = vec![program(0); MAX_LINKS / 3];
    case.fexit = case.fentry.clone();
    case.fmod_ret = case.fentry.clone();
    assert_eq!(case.build().unwrap().skips.len(), MAX_LINKS);
    case.fmod_ret.push(program(0));
    refused(&case, Error::TooBig);
}

/// The 17th session with a session cookie does not fit the page under call-depth tracking. A stock
/// 7.2.12 writes past it.
#[test]
fn an_image_beyond_its_page() {
    let mut case = Case::new(&[4], Flags::CALL_ORIG);
    case.machine.return_thunk = Some(return_thunk());
    case.machine.call_depth = Some(CallDepth {
        calls: None,
        ..call_depth()
    });
    case.fentry = vec![session(0, true); 16];
    case.fexit = case.fentry.clone();
    assert_eq!(case.build().unwrap().image.size(), 4044);
    refused(&case.attach(session(0, true)), Error::TooBig);
}

#[test]
fn out_of_reach() {
    let case = || {
        let mut case = Case::new(&[8], Flags::CALL_ORIG);
        case.fentry.push(program(0));
        case
    };
    assert!(case().build().is_ok());
    let far = |change: fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        refused(&case, Error::OutOfRange);
    };
    far(|case| case.target.addr = FAR);
    far(|case| case.machine.tramp_enter = callee(FAR));
    far(|case| case.machine.tramp_exit = callee(FAR));
    far(|case| case.machine.return_thunk = Some(FAR));
    far(|case| case.fentry[0].enter = callee(FAR));
    far(|case| case.fentry[0].entry = callee(FAR));
    far(|case| case.fentry[0].exit = callee(FAR));
    far(|case| {
        let (depth, calls) = (FAR, None);
        case.machine.call_depth = Some(CallDepth { depth, calls });
    });
    far(|case| {
        let (depth, calls) = (IP, Some(FAR));
        case.machine.call_depth = Some(CallDepth { depth, calls });
    });
    far(|case| {
        case.flags = Flags::INDIRECT;
        let (hash, bhi) = (1, Some(FAR));
        case.target.preamble = Preamble::FineIbt { hash, bhi };
    });
}

#[test]
fn an_absurd_run_context() {
    let mut case = Case::new(&[8], Flags::CALL_ORIG);
    case.machine.run_ctx_size = u16::MAX;
    assert!(case.build().is_ok());
}

#[test]
fn indirect_and_something_else() {
    for other in FLAGS {
        let case = Case::new(&[8], Flags::INDIRECT | other);
        if [Flags::INDIRECT, Flags::RET_FENTRY_RET].contains(&other) {
            assert!(case.build().is_ok());
        } else {
            refused(&case, Error::Invalid);
        }
    }
}

/// A session cookie that was not counted at entry has no place.
#[test]
fn a_cookie_at_exit_alone() {
    let mut case = Case::new(&[8], Flags::CALL_ORIG).attach(session(0, true));
    assert!(case.build().is_ok());
    case.fexit.push(session(1, true));
    refused(&case, Error::Invalid);
}

#[test]
fn quirks_without_a_right_form() {
    let refused_without = |case: Case, off: fn(&mut Quirks)| {
        assert!(case.build().is_ok());
        let mut case = case;
        off(&mut case.machine.quirks);
        refused(&case, Error::Uncovered);
    };
    let tail = Flags::TAIL_CALL_CTX | Flags::CALL_ORIG;
    refused_without(Case::new(&[8; 7], tail), |quirks| {
        quirks.tail_call_count_in_args = false;
    });
    refused_without(
        Case::new(&[8], Flags::RESTORE_REGS).attach(session(0, false)),
        |quirks| quirks.return_slot_not_reserved = false,
    );
    let mut fmod_ret = Case::new(&[8], Flags::RESTORE_REGS);
    fmod_ret.fmod_ret.push(program(0));
    refused_without(fmod_ret, |quirks| quirks.return_slot_not_reserved = false);
    refused_without(
        Case::new(&[8], Flags::CALL_ORIG | Flags::ORIG_STACK),
        |quirks| quirks.bare_original_call = false,
    );

    // Next to each of them what does not show the quirk.
    let none = Quirks {
        indirect_args_too_high: false,
        aligned_in_scratch: false,
        tail_call_count_in_args: false,
        return_slot_not_reserved: false,
        bare_original_call: false,
    };
    for mut case in [
        Case::new(&[8; 6], tail),
        Case::new(&[8; 7], Flags::TAIL_CALL_CTX),
        Case::new(&[8], Flags::CALL_ORIG).attach(session(0, false)),
        Case::new(&[8], Flags::INDIRECT | Flags::RET_FENTRY_RET).attach(session(0, false)),
        Case::new(&[8], Flags::RESTORE_REGS | Flags::ORIG_STACK),
    ] {
        case.machine.quirks = none;
        assert!(case.build().is_ok(), "{:?}", case.flags);
    }
}

/// Displacements of the loads from the caller's stack arguments.
fn stack_loads(case: &Case) -> Vec<u64> {
    let code = case.build().unwrap().code;
    decode(&code, IP)
        .iter()
        .filter(|insn| insn.mnemonic() == Mnemonic::Mov)
        .map(|insn| insn.memory_displacement64())
        .filter(|disp| (1..1000).contains(disp))
        .collect()
}

/// Stack arguments of an indirect image are above one return address; C of 7.2 counts two.
#[test]
fn quirk_of_indirect_stack_arguments() {
    let mut case = Case::new(&[8; 8], Flags::INDIRECT);
    assert_eq!(stack_loads(&case), [16, 24]);
    case.machine.quirks.indirect_args_too_high = true;
    assert_eq!(stack_loads(&case), [24, 32]);
}

/// How far from a multiple of 16 the code behind the fmod_ret programs begins.
fn exit_misalignment(case: &Case, ip: u64) -> u64 {
    let code = case.build_at(ip).unwrap().code;
    let insns = decode(&code, ip);
    let jump = insns.iter().find(|insn| insn.mnemonic() == Mnemonic::Jne);
    jump.unwrap().near_branch_target() % 16
}

/// C aligns the exit in its scratch buffer.
#[test]
fn quirk_of_the_aligned_scratch_buffer() {
    let mut case = Case::new(&[8], Flags::CALL_ORIG);
    case.fmod_ret.push(program(0));
    case.scratch_align = 8;
    assert_eq!(exit_misalignment(&case, IP), 8);
    case.machine.quirks.aligned_in_scratch = false;
    assert_eq!(exit_misalignment(&case, IP), 0);
    assert_eq!(exit_misalignment(&case, IP + 4), 0);
}
