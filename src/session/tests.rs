// SPDX-License-Identifier: GPL-2.0

//! Unit tests of the metadata word and of the inlined kfuncs that read it.
//!
//! They run on the host and as KUnit tests; see [`crate::builder::tests`].

#![expect(clippy::indexing_slicing, reason = "a panic fails the test")]

pub(crate) mod interpreter;

use super::{FuncMeta, SessionKfunc};
use interpreter::{Bpf, Bytes, Unsupported};

/// Result of a test.
type Outcome = Result<(), Unsupported>;

/// The verifier's instructions for kfuncs and helpers.
///
/// `bpf_session_is_return()` and `bpf_session_cookie()` are from `bpf_fixup_kfunc_call()` in
/// `kernel/bpf/verifier.c`, the others from `bpf_do_misc_fixups()` in `kernel/bpf/fixups.c`; they
/// are the same in 7.2 and 7.3. The bytes are those of `struct bpf_insn`: code, registers (source,
/// destination), offset, immediate.
#[rustfmt::skip]
pub(crate) mod verifier {
    use super::Bytes;

    pub(crate) const IS_RETURN: &[Bytes] = &[
        // BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, -8)
        [0x79, 0x10, 0xf8, 0xff, 0x00, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_RSH, BPF_REG_0, BPF_TRAMP_IS_RETURN_SHIFT)
        [0x77, 0x00, 0x00, 0x00, 63, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 1)
        [0x57, 0x00, 0x00, 0x00, 1, 0, 0, 0],
    ];

    pub(crate) const COOKIE: &[Bytes] = &[
        // BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, -8)
        [0x79, 0x10, 0xf8, 0xff, 0x00, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_RSH, BPF_REG_0, BPF_TRAMP_COOKIE_INDEX_SHIFT)
        [0x77, 0x00, 0x00, 0x00, 8, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 0xFF)
        [0x57, 0x00, 0x00, 0x00, 0xff, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_LSH, BPF_REG_0, 3)
        [0x67, 0x00, 0x00, 0x00, 3, 0, 0, 0],
        // BPF_ALU64_REG(BPF_SUB, BPF_REG_0, BPF_REG_1)
        [0x1f, 0x10, 0x00, 0x00, 0x00, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_NEG, BPF_REG_0, 0)
        [0x87, 0x00, 0x00, 0x00, 0x00, 0, 0, 0],
    ];

    /// `bpf_get_func_arg_cnt()`
    pub(crate) const ARG_CNT: &[Bytes] = &[
        // BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, -8)
        [0x79, 0x10, 0xf8, 0xff, 0x00, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 0xFF)
        [0x57, 0x00, 0x00, 0x00, 0xff, 0, 0, 0],
    ];

    /// `bpf_get_func_ret()`
    pub(crate) const GET_RET: &[Bytes] = &[
        // BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, -8)
        [0x79, 0x10, 0xf8, 0xff, 0x00, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_AND, BPF_REG_0, 0xFF)
        [0x57, 0x00, 0x00, 0x00, 0xff, 0, 0, 0],
        // BPF_ALU64_IMM(BPF_LSH, BPF_REG_0, 3)
        [0x67, 0x00, 0x00, 0x00, 3, 0, 0, 0],
        // BPF_ALU64_REG(BPF_ADD, BPF_REG_0, BPF_REG_1)
        [0x0f, 0x10, 0x00, 0x00, 0x00, 0, 0, 0],
        // BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_0, 0)
        [0x79, 0x03, 0x00, 0x00, 0x00, 0, 0, 0],
        // BPF_STX_MEM(BPF_DW, BPF_REG_2, BPF_REG_3, 0)
        [0x7b, 0x32, 0x00, 0x00, 0x00, 0, 0, 0],
        // BPF_MOV64_IMM(BPF_REG_0, 0)
        [0xb7, 0x00, 0x00, 0x00, 0x00, 0, 0, 0],
    ];
}

/// The instructions of a kfunc as bytes.
pub(crate) fn inlined(kfunc: SessionKfunc) -> impl Iterator<Item = Bytes> + Clone {
    kfunc.inlined().iter().map(|insn| insn.to_bytes())
}

/// Runs `insns` with `word` at `ctx[-1]` as the only memory.
pub(crate) fn with_word(
    ctx: u64,
    word: u64,
    insns: impl IntoIterator<Item = Bytes>,
) -> Result<u64, Unsupported> {
    let mut regs = [0xdead_beef; 11];
    regs[1] = ctx;
    let memory = &mut [(ctx.wrapping_sub(8), word)];
    Bpf { regs, memory }.run(insns)
}

/// All words: number of arguments, cookie index, return flag.
fn all_words() -> impl Iterator<Item = (u8, u8, bool, FuncMeta)> {
    let fields = (0..=u8::MAX).flat_map(|args| (0..=u8::MAX).map(move |index| (args, index)));
    fields.flat_map(|(args, index)| {
        let entry = FuncMeta::new(args).with_cookie(index);
        [
            (args, index, false, entry),
            (args, index, true, entry.at_return()),
        ]
    })
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_session))]
mod word {
    use super::*;

    const CTX: u64 = 0xffff_c900_0001_7f80;

    #[test]
    fn instructions_are_those_of_the_verifier() {
        let expected = verifier::IS_RETURN.iter().copied();
        assert!(inlined(SessionKfunc::IsReturn).eq(expected));
        let expected = verifier::COOKIE.iter().copied();
        assert!(inlined(SessionKfunc::Cookie).eq(expected));
    }

    /// `BPF_TRAMP_COOKIE_INDEX_SHIFT` and `BPF_TRAMP_IS_RETURN_SHIFT` in `include/linux/bpf.h`.
    #[test]
    fn shifts_are_those_of_the_kernel() {
        assert_eq!(FuncMeta::COOKIE_INDEX_SHIFT, 8);
        assert_eq!(FuncMeta::IS_RETURN_SHIFT, 63);
    }

    #[test]
    fn every_word_has_its_fields() {
        for (args, index, is_return, meta) in all_words() {
            let flag = if is_return { 1 << 63 } else { 0 };
            assert_eq!(
                meta.bits(),
                flag | (u64::from(index) << 8) | u64::from(args)
            );
        }
    }

    #[test]
    fn is_return_reads_every_word() -> Outcome {
        for (_, _, is_return, meta) in all_words() {
            let read = with_word(CTX, meta.bits(), inlined(SessionKfunc::IsReturn))?;
            assert_eq!(read, u64::from(is_return));
        }
        Ok(())
    }

    #[test]
    fn cookie_reads_every_word() -> Outcome {
        for (_, index, _, meta) in all_words() {
            let read = with_word(CTX, meta.bits(), inlined(SessionKfunc::Cookie))?;
            assert_eq!(read, CTX - 8 * u64::from(index));
        }
        Ok(())
    }

    /// Other helpers read the number of arguments and ignore the other fields.
    #[test]
    fn other_helpers_read_every_word() -> Outcome {
        const RESULT: u64 = 0x1122_3344_5566_7788;
        for (args, _, _, meta) in all_words() {
            let insns = verifier::ARG_CNT.iter().copied();
            assert_eq!(with_word(CTX, meta.bits(), insns)?, u64::from(args));

            let place = CTX + 8 * u64::from(args);
            let buffer = CTX - 0x100;
            let memory = &mut [(CTX - 8, meta.bits()), (place, RESULT), (buffer, 0)];
            let mut bpf = Bpf {
                regs: [0, CTX, buffer, 0, 0, 0, 0, 0, 0, 0, 0],
                memory,
            };
            assert_eq!(bpf.run(verifier::GET_RET.iter().copied())?, 0);
            assert_eq!(bpf.memory[2].1, RESULT);
        }
        Ok(())
    }

    #[test]
    fn a_cookie_index_replaces_the_one_before() {
        let word = FuncMeta::new(6).with_cookie(0xff).with_cookie(2);
        assert_eq!(word.bits(), 0x206);
        assert_eq!(word.at_return().with_cookie(3).bits(), (1 << 63) | 0x306);
    }

    /// The interpreter refuses what it does not support, so a result shows that the instructions
    /// are right.
    #[test]
    fn other_instructions_are_refused() {
        let good = [0x79, 0x10, 0xf8, 0xff, 0, 0, 0, 0];
        assert_eq!(with_word(CTX, 7, [good]), Ok(7));
        let bad: [Bytes; 7] = [
            // Another offset, another size, an invalid register.
            [0x79, 0x10, 0xf0, 0xff, 0, 0, 0, 0],
            [0x61, 0x10, 0xf8, 0xff, 0, 0, 0, 0],
            [0x79, 0x1b, 0xf8, 0xff, 0, 0, 0, 0],
            // A value in an unused field.
            [0x79, 0x10, 0xf8, 0xff, 1, 0, 0, 0],
            [0x77, 0x10, 0, 0, 8, 0, 0, 0],
            [0x1f, 0x10, 8, 0, 0, 0, 0, 0],
            // A shift by the width of the register.
            [0x77, 0x00, 0, 0, 64, 0, 0, 0],
        ];
        for insn in bad {
            assert_eq!(with_word(CTX, 7, [insn]), Err(Unsupported));
        }
    }
}
