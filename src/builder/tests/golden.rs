// SPDX-License-Identifier: GPL-2.0

//! Compares whole images with listings, and sizes with those that were measured.

use super::fixture::{interpreted, program, session, Case, CALL_COUNTS, RETURN_THUNK};
use super::listing::{Marked, ROOM};
use crate::builder::{Callee, Error, Flags, FuncModel, Marks, Preamble, Program, Skip};

/// A request and the listing of its image.
pub(crate) struct Golden {
    pub(crate) case: Case<'static>,
    pub(crate) listing: &'static str,
}

pub(crate) fn nothing() -> Result<Golden, Error> {
    Ok(Golden {
        case: Case::new(&[], Flags::RESTORE_REGS)?,
        listing: include_str!("golden/nothing.lst"),
    })
}

pub(crate) fn fentry() -> Result<Golden, Error> {
    const PROGRAMS: &[Program] = &[program(0)];
    Ok(Golden {
        case: Case::new(&[8, 8], Flags::RESTORE_REGS)?.at_entry(PROGRAMS),
        listing: include_str!("golden/fentry.lst"),
    })
}

pub(crate) fn session_with_cookies() -> Result<Golden, Error> {
    const SESSIONS: &[Program] = &[Program {
        cookie: 0x1122_3344_5566_7788,
        ..session(1, true)
    }];
    let flags = Flags::CALL_ORIG | Flags::IP_ARG;
    Ok(Golden {
        case: Case::new(&[8, 4, 8], flags)?.with_sessions(SESSIONS),
        listing: include_str!("golden/session.lst"),
    })
}

pub(crate) fn fmod_ret() -> Result<Golden, Error> {
    const PROGRAMS: &[Program] = &[program(2)];
    let flags = Flags::CALL_ORIG | Flags::SKIP_FRAME | Flags::ORIG_STACK;
    let mut case = Case::new(&[], flags)?;
    case.programs.fmod_ret = PROGRAMS;
    case.machine.return_thunk = Some(RETURN_THUNK);
    let listing = include_str!("golden/fmod_ret.lst");
    Ok(Golden { case, listing })
}

pub(crate) fn struct_ops() -> Result<Golden, Error> {
    const PROGRAMS: &[Program] = &[interpreted(0)];
    let flags = Flags::INDIRECT | Flags::RET_FENTRY_RET;
    let mut case = Case::new(&[], flags)?.at_entry(PROGRAMS);
    case.target.model = FuncModel::new(&[8, 8], &[1 << 2, (1 << 2) | (1 << 3)])?;
    case.target.preamble = Preamble::FineIbt {
        hash: 0x1234_5678,
        bhi: None,
    };
    case.arena_base = Some(0xffff_c900_dead_0000);
    let listing = include_str!("golden/struct_ops.lst");
    Ok(Golden { case, listing })
}

pub(crate) fn stack_args() -> Result<Golden, Error> {
    let flags = Flags::CALL_ORIG | Flags::SKIP_FRAME;
    Ok(Golden {
        case: Case::new(&[8, 8, 8, 8, 8, 16, 4], flags)?,
        listing: include_str!("golden/stack_args.lst"),
    })
}

pub(crate) fn half_word() -> Result<Golden, Error> {
    Ok(Golden {
        case: Case::new(&[8, 8, 8, 8, 8, 8, 4], Flags::CALL_ORIG)?,
        listing: include_str!("golden/half_word.lst"),
    })
}

pub(crate) fn tail_call() -> Result<Golden, Error> {
    let flags = Flags::CALL_ORIG | Flags::SKIP_FRAME | Flags::TAIL_CALL_CTX;
    Ok(Golden {
        case: Case::new(&[8], flags)?,
        listing: include_str!("golden/tail_call.lst"),
    })
}

pub(crate) fn call_depth_tracking() -> Result<Golden, Error> {
    const PROGRAMS: &[Program] = &[Program {
        enter: Callee {
            counted: true,
            ..program(0).enter
        },
        ..program(0)
    }];
    let flags = Flags::RESTORE_REGS | Flags::TAIL_CALL_CTX;
    let mut case = Case::new(&[8], flags)?.at_entry(PROGRAMS);
    case.machine.call_depth = Some(CALL_COUNTS);
    let listing = include_str!("golden/call_depth.lst");
    Ok(Golden { case, listing })
}

/// All golden images.
pub(crate) const ALL: [fn() -> Result<Golden, Error>; 9] = [
    nothing,
    fentry,
    session_with_cookies,
    fmod_ret,
    struct_ops,
    stack_args,
    half_word,
    tail_call,
    call_depth_tracking,
];

/// Maximum number of programs of a golden image.
const SKIPS: usize = 2;

const UNTOUCHED: u8 = 0xa5;

/// Builds an image in a buffer with space left.
fn built(case: &Case<'_>) -> Result<(Marked, Marks, [Skip; SKIPS]), Error> {
    let (mut code, mut skips) = ([UNTOUCHED; ROOM], [Skip::default(); SKIPS]);
    let image = case.build(&mut code, &mut skips)?;
    let len = image.code_len.into();
    let behind = code.get_mut(len..).ok_or(Error::TooBig)?;
    if behind.iter().any(|&byte| byte != UNTOUCHED) {
        return Err(Error::TooBig);
    }
    behind.fill(0);
    let frame = [image.fp_start.into(), image.fp_end.into()];
    Ok((Marked { code, len, frame }, image, skips))
}

impl Golden {
    /// The image, and the one of the listing.
    fn both(&self) -> Result<(Marked, Marked), Error> {
        Ok((built(&self.case)?.0, Marked::read(self.listing)?))
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_golden))]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn nothing() -> Outcome {
        let (image, listing) = super::nothing()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn fentry() -> Outcome {
        let (image, listing) = super::fentry()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn session_with_cookies() -> Outcome {
        let (image, listing) = super::session_with_cookies()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn fmod_ret() -> Outcome {
        let (image, listing) = super::fmod_ret()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn struct_ops() -> Outcome {
        let (image, listing) = super::struct_ops()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn stack_args() -> Outcome {
        let (image, listing) = super::stack_args()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn half_word() -> Outcome {
        let (image, listing) = super::half_word()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn tail_call() -> Outcome {
        let (image, listing) = super::tail_call()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    #[test]
    fn call_depth_tracking() -> Outcome {
        let (image, listing) = super::call_depth_tracking()?.both()?;
        assert_eq!(image, listing);
        Ok(())
    }

    /// A record reaches from the nop to the end of the program's exit call.
    #[test]
    fn skip_records() -> Outcome {
        let (_, image, skips) = built(&super::fentry()?.case)?;
        let record = |prog, nop, target| Skip { prog, nop, target };
        assert_eq!(image.nr_skips, 1);
        assert_eq!(skips[0], record(program(0).prog, 29, 98));
        let (_, image, skips) = built(&super::session_with_cookies()?.case)?;
        assert_eq!(image.nr_skips, 2);
        assert_eq!(skips[0], record(program(1).prog, 80, 157));
        assert_eq!(skips[1], record(program(1).prog, 206, 283));
        Ok(())
    }

    /// The measured size is the size of the image, which fits a buffer of that size.
    #[test]
    fn measured_is_built() -> Outcome {
        for golden in ALL {
            let case = golden()?.case;
            let (whole, image, _) = built(&case)?;
            assert_eq!(case.measure()?, image);
            let mut code = [0; ROOM];
            let mut skips = [Skip::default(); SKIPS];
            let skips = &mut skips[..image.nr_skips.into()];
            assert_eq!(case.build(&mut code[..whole.len], skips)?, image);
            assert_eq!(code, whole.code);
        }
        Ok(())
    }

    /// An image that does not fit is refused, and the rest of the buffer is not written.
    #[test]
    fn every_byte_is_bounded() -> Outcome {
        for golden in ALL {
            let case = golden()?.case;
            let image = case.measure()?;
            let mut skips = [Skip::default(); SKIPS];
            let mut code = [UNTOUCHED; ROOM];
            for short in (0..image.code_len.into()).rev() {
                let result = case.build(&mut code[..short], &mut skips);
                assert_eq!(result, Err(Error::TooBig));
                assert!(code[short..].iter().all(|&byte| byte == UNTOUCHED));
                code.fill(UNTOUCHED);
            }
            for short in 0..image.nr_skips.into() {
                let result = case.build(&mut code, &mut skips[..short]);
                assert_eq!(result, Err(Error::TooBig));
            }
        }
        Ok(())
    }

    /// What `arch_bpf_trampoline_size()` of a stock 7.2.12 returned for a function of one argument.
    #[test]
    fn sizes_of_a_stock_kernel() -> Outcome {
        const SESSIONS: [Program; 18] = [session(0, true); 18];
        const PROGRAMS: &[Program] = &[program(0)];
        let fentry = Case::new(&[4], Flags::RESTORE_REGS)?.at_entry(PROGRAMS);
        assert_eq!(fentry.measure()?.size(), 169);
        let one = Case::new(&[4], Flags::CALL_ORIG)?.with_sessions(&SESSIONS[..1]);
        assert_eq!(one.measure()?.size(), 330);
        let many = Case::new(&[4], Flags::CALL_ORIG)?.with_sessions(&SESSIONS);
        assert_eq!(many.measure()?.size(), 3517);
        Ok(())
    }
}
