// SPDX-License-Identifier: GPL-2.0

//! Preambles of images.

use super::fixture::Case;
use crate::builder::{CallDepth, Error, Flags, Preamble, Skip};

/// Maximum number of bytes before the frame.
const ROOM: usize = 32;

/// `push rbp; mov rbp, rsp`, which set up the frame.
const FRAME: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];

/// Whether an image begins with `expected`, followed by its frame.
fn begins(case: &Case<'_>, expected: &[u8]) -> Result<bool, Error> {
    let mut code = [0; 8 * ROOM];
    case.build(&mut code, &mut [Skip::default(); 1])?;
    let frame = code.strip_prefix(expected);
    Ok(frame.is_some_and(|code| code.starts_with(&FRAME)))
}

fn indirect(preamble: Preamble) -> Result<Case<'static>, Error> {
    let mut case = Case::new(&[], Flags::INDIRECT)?;
    case.target.preamble = preamble;
    Ok(case)
}

fn accounted(call_depth: CallDepth) -> Result<Case<'static>, Error> {
    let mut case = Case::new(&[], Flags::RESTORE_REGS)?;
    case.machine.call_depth = Some(call_depth);
    Ok(case)
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_preambles))]
mod tests {
    use super::super::fixture::{bhi_args, CALL_COUNTS, CALL_DEPTH, IP};
    use super::super::Outcome;
    use super::*;

    /// A 4-byte displacement to `target` that is relative to offset `end` of the image.
    fn rel32(target: u64, end: u64) -> [u8; 4] {
        let [a, b, c, d, ..] = target.wrapping_sub(IP + end).to_le_bytes();
        [a, b, c, d]
    }

    #[test]
    fn plain() -> Outcome {
        assert!(begins(&indirect(Preamble::None)?, &[])?);
        assert!(begins(
            &indirect(Preamble::Endbr)?,
            &[0xf3, 0x0f, 0x1e, 0xfa]
        )?);
        Ok(())
    }

    /// `mov eax, hash`, even if the hash is 0; padding of one-byte nops; `endbr64`.
    #[test]
    fn kcfi() -> Outcome {
        let kcfi = |hash, padding, endbr| {
            indirect(Preamble::Kcfi {
                hash,
                padding,
                endbr,
            })
        };
        assert!(begins(&kcfi(0, 0, false)?, &[0xb8, 0, 0, 0, 0])?);
        #[rustfmt::skip]
        let expected = [
            0xb8, 0x78, 0x56, 0x34, 0x92,
            0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
            0xf3, 0x0f, 0x1e, 0xfa,
        ];
        assert!(begins(&kcfi(0x9234_5678, 11, true)?, &expected)?);
        Ok(())
    }

    /// `endbr64; sub eax, hash`, the trap on another hash, which has the 7 bytes that callers rely
    /// on, and the poisoned `endbr64`.
    #[test]
    fn fineibt() -> Outcome {
        let fineibt = |bhi| {
            let hash = 0x8000_0001;
            indirect(Preamble::FineIbt { hash, bhi })
        };
        #[rustfmt::skip]
        let conditional = [
            0xf3, 0x0f, 0x1e, 0xfa,
            0x2d, 0x01, 0x00, 0x00, 0x80,
            0x2e, 0x0f, 0x85, 0x03, 0x00, 0x00, 0x00,
            0x0f, 0x1f, 0x40, 0xd6,
        ];
        assert!(begins(&fineibt(None)?, &conditional)?);
        let [a, b, c, d] = rel32(bhi_args(2), 16);
        #[rustfmt::skip]
        let call = [
            0xf3, 0x0f, 0x1e, 0xfa,
            0x2d, 0x01, 0x00, 0x00, 0x80,
            0x2e, 0x2e, 0xe8, a, b, c, d,
            0x0f, 0x1f, 0x40, 0xd6,
        ];
        assert!(begins(&fineibt(Some(bhi_args(2)))?, &call)?);
        Ok(())
    }

    /// `sar qword gs:[depth], 5`, and with the debug counter `inc qword gs:[calls]`.
    #[test]
    fn accounting() -> Outcome {
        let [a, b, c, d] = rel32(CALL_DEPTH.depth, 9);
        let sar = [0x65, 0x48, 0xc1, 0x3d, a, b, c, d, 5];
        assert!(begins(&accounted(CALL_DEPTH)?, &sar)?);

        let [i, j, k, l] = rel32(CALL_COUNTS.calls.unwrap_or(0), 17);
        #[rustfmt::skip]
        let both = [
            0x65, 0x48, 0xc1, 0x3d, a, b, c, d, 5,
            0x65, 0x48, 0xff, 0x05, i, j, k, l,
        ];
        assert!(begins(&accounted(CALL_COUNTS)?, &both)?);

        // An indirect caller does the accounting.
        let mut case = indirect(Preamble::None)?;
        case.machine.call_depth = Some(CALL_DEPTH);
        assert!(begins(&case, &[])?);
        Ok(())
    }
}
