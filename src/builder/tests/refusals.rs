// SPDX-License-Identifier: GPL-2.0

//! Requests that are refused, and the errno of the error.

use super::fixture::{program, session, Case, IP};
use crate::builder::{Error, Flags, FuncModel, Program, Quirks, MAX_LINKS};

/// Out of reach of a 32-bit displacement from [`IP`].
const FAR: u64 = IP - (1 << 31) - 0x1000;

/// `BPF_TRAMP_F_*` of `include/linux/bpf.h`, in order.
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

const PROGRAMS: &[Program] = &[program(0); MAX_LINKS + 1];

/// A quirk without a correct alternative.
struct Quirk {
    off: fn(&mut Quirks),
    /// Cases with the quirk.
    shown: &'static [Asked],
    /// Similar cases without the quirk.
    hidden: &'static [Asked],
}

/// Sizes, flags, sessions, fmod_ret programs.
type Asked = (&'static [u8], &'static [Flags], usize, usize);

#[rustfmt::skip]
const QUIRKS: [Quirk; 3] = [
    Quirk {
        off: |quirks| quirks.tail_call_count_in_args = false,
        shown: &[(&[8; 7], &[Flags::TAIL_CALL_CTX, Flags::CALL_ORIG], 0, 0)],
        hidden: &[
            (&[8; 6], &[Flags::TAIL_CALL_CTX, Flags::CALL_ORIG], 0, 0),
            (&[8; 7], &[Flags::TAIL_CALL_CTX], 0, 0),
        ],
    },
    Quirk {
        off: |quirks| quirks.return_slot_not_reserved = false,
        shown: &[
            (&[8], &[Flags::RESTORE_REGS], 1, 0),
            (&[8], &[Flags::RESTORE_REGS], 0, 1),
        ],
        hidden: &[
            (&[8], &[Flags::CALL_ORIG], 1, 1),
            (&[8], &[Flags::INDIRECT, Flags::RET_FENTRY_RET], 1, 0),
        ],
    },
    Quirk {
        off: |quirks| quirks.bare_original_call = false,
        shown: &[(&[8], &[Flags::CALL_ORIG, Flags::ORIG_STACK], 0, 0)],
        hidden: &[(&[8], &[Flags::RESTORE_REGS, Flags::ORIG_STACK], 0, 0)],
    },
];

fn flags(list: &[Flags]) -> Flags {
    list.iter().fold(Flags::default(), |all, &flag| all | flag)
}

fn case(&(sizes, list, sessions, fmod_ret): &Asked) -> Result<Case<'static>, Error> {
    const SESSIONS: &[Program] = &[session(0, false)];
    let sessions = SESSIONS.get(..sessions).ok_or(Error::Invalid)?;
    let mut case = Case::new(sizes, flags(list))?.with_sessions(sessions);
    case.programs.fmod_ret = PROGRAMS.get(..fmod_ret).ok_or(Error::Invalid)?;
    Ok(case)
}

/// A model of `number` arguments of this size.
fn model(size: u8, number: usize) -> Result<FuncModel, Error> {
    let (sizes, flags) = ([size; 16], [0; 16]);
    FuncModel::new(&sizes[..number], &flags[..number])
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_refusals))]
mod tests {
    use super::super::fixture::{callee, CALL_DEPTH, RETURN_THUNK};
    use super::super::Outcome;
    use super::*;
    use crate::builder::{CallDepth, Preamble};

    #[test]
    fn errno_values() {
        assert_eq!(Error::TooBig.to_errno(), -7); // E2BIG
        assert_eq!(Error::OutOfRange.to_errno(), -22); // EINVAL
        assert_eq!(Error::Invalid.to_errno(), -22); // EINVAL
        assert_eq!(Error::TooManyRegs.to_errno(), -524); // ENOTSUPP
        assert_eq!(Error::Uncovered.to_errno(), -95); // EOPNOTSUPP
    }

    #[test]
    fn known_and_unknown_flags() {
        for bit in 0..32 {
            let expected = FLAGS.get(bit).copied().ok_or(Error::Invalid);
            assert_eq!(Flags::from_bits(1 << bit), expected);
        }
        assert_eq!(Flags::from_bits((1 << 9) | 2), Err(Error::Invalid));
        assert_eq!(flags(&FLAGS).bits(), 0x1ff);
    }

    #[test]
    fn malformed_models() {
        assert!(model(8, 12).is_ok());
        assert_eq!(model(1, 13), Err(Error::Invalid));
        assert!(model(16, 1).is_ok());
        assert_eq!(model(17, 1), Err(Error::Invalid));
        assert_eq!(FuncModel::new(&[8, 8], &[0]), Err(Error::Invalid));

        assert!(model(16, 6).is_ok());
        assert_eq!(model(16, 7), Err(Error::TooManyRegs));
        let sizes = [9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8];
        assert_eq!(FuncModel::new(&sizes, &[0; 12]), Err(Error::TooManyRegs));
    }

    #[test]
    fn too_many_programs() -> Outcome {
        let mut case = Case::new(&[], Flags::CALL_ORIG)?;
        case.programs.fentry = &PROGRAMS[..12];
        case.programs.fexit = &PROGRAMS[..12];
        case.programs.fmod_ret = &PROGRAMS[..12];
        assert_eq!(usize::from(case.measure()?.nr_skips), MAX_LINKS);
        case.programs.fmod_ret = &PROGRAMS[..13];
        assert_eq!(case.measure(), Err(Error::TooBig));
        Ok(())
    }

    /// With call-depth tracking, the 17th session with a session cookie does not fit the page. The
    /// C builder of a stock 7.2.12 writes past its end.
    #[test]
    fn an_image_beyond_its_page() -> Outcome {
        const SESSIONS: &[Program] = &[session(0, true); 17];
        let mut case = Case::new(&[4], Flags::CALL_ORIG)?;
        case.machine.return_thunk = Some(RETURN_THUNK);
        case.machine.call_depth = Some(CALL_DEPTH);
        let fits = case.with_sessions(&SESSIONS[..16]);
        assert_eq!(fits.measure()?.size(), 4044);
        let case = case.with_sessions(SESSIONS);
        assert_eq!(case.measure(), Err(Error::TooBig));
        Ok(())
    }

    #[test]
    fn out_of_reach() -> Outcome {
        let near = Case::new(&[8], Flags::CALL_ORIG)?.at_entry(&PROGRAMS[..1]);
        assert!(near.measure().is_ok());
        let changes: [fn(&mut Case<'_>); 7] = [
            |case| case.target.addr = FAR,
            |case| case.machine.tramp_enter = callee(FAR),
            |case| case.machine.tramp_exit = callee(FAR),
            |case| case.machine.return_thunk = Some(FAR),
            |case| {
                let (depth, calls) = (FAR, None);
                case.machine.call_depth = Some(CallDepth { depth, calls });
            },
            |case| {
                let (depth, calls) = (IP, Some(FAR));
                case.machine.call_depth = Some(CallDepth { depth, calls });
            },
            |case| {
                case.flags = Flags::INDIRECT;
                let (hash, bhi) = (1, Some(FAR));
                case.target.preamble = Preamble::FineIbt { hash, bhi };
            },
        ];
        for change in changes {
            let mut case = near;
            change(&mut case);
            assert_eq!(case.measure(), Err(Error::OutOfRange));
        }
        let changes: [fn(&mut Program); 3] = [
            |program| program.enter = callee(FAR),
            |program| program.entry = callee(FAR),
            |program| program.exit = callee(FAR),
        ];
        for change in changes {
            let mut program = program(0);
            change(&mut program);
            let programs = [program];
            assert_eq!(near.at_entry(&programs).measure(), Err(Error::OutOfRange));
        }
        Ok(())
    }

    #[test]
    fn an_absurd_run_context() -> Outcome {
        let mut case = Case::new(&[8], Flags::CALL_ORIG)?;
        case.machine.run_ctx_size = u16::MAX;
        assert!(case.measure().is_ok());
        Ok(())
    }

    #[test]
    fn indirect_and_something_else() -> Outcome {
        for other in FLAGS {
            let result = Case::new(&[8], Flags::INDIRECT | other)?.measure();
            if [Flags::INDIRECT, Flags::RET_FENTRY_RET].contains(&other) {
                assert!(result.is_ok());
            } else {
                assert_eq!(result, Err(Error::Invalid));
            }
        }
        Ok(())
    }

    /// A session cookie has no slot if its session is not among the entry programs.
    #[test]
    fn a_cookie_at_exit_alone() -> Outcome {
        const SESSIONS: &[Program] = &[session(0, true), session(1, true)];
        let mut case = Case::new(&[8], Flags::CALL_ORIG)?.with_sessions(&SESSIONS[..1]);
        assert!(case.measure().is_ok());
        case.programs.fexit = SESSIONS;
        assert_eq!(case.measure(), Err(Error::Invalid));
        Ok(())
    }

    #[test]
    fn quirks_without_a_right_form() -> Outcome {
        for quirk in QUIRKS {
            for asked in quirk.shown {
                let mut case = case(asked)?;
                assert!(case.measure().is_ok());
                (quirk.off)(&mut case.machine.quirks);
                assert_eq!(case.measure(), Err(Error::Uncovered));
            }
            for asked in quirk.hidden {
                let mut case = case(asked)?;
                for quirk in QUIRKS {
                    (quirk.off)(&mut case.machine.quirks);
                }
                assert!(case.measure().is_ok());
            }
        }
        Ok(())
    }
}
