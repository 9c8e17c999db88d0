// SPDX-License-Identifier: GPL-2.0

//! Arguments that point into an arena. The golden image `struct_ops` shows how they are converted.

use super::fixture::Case;
use crate::builder::{Error, Flags, FuncModel};

/// Bytes of the image for one argument with these flags, with and without an arena.
fn lengths(flags: u8) -> Result<(u16, u16), Error> {
    let mut case = Case::new(&[], Flags::INDIRECT)?;
    case.target.model = FuncModel::new(&[8], &[flags])?;
    let plain = case.measure()?.code_len;
    case.arena_base = Some(0xffff_c900_dead_0000);
    Ok((plain, case.measure()?.code_len))
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_arena))]
mod tests {
    use super::super::Outcome;
    use super::*;

    /// Other arguments of a program with an arena stay as they are.
    #[test]
    fn only_arena_args_are_converted() -> Outcome {
        let (plain, with_arena) = lengths(!FuncModel::ARENA_ARG)?;
        assert_eq!(plain, with_arena);
        let (plain, with_arena) = lengths(FuncModel::ARENA_ARG)?;
        assert!(plain < with_arena);
        Ok(())
    }

    /// Only those that may be null are tested for it.
    #[test]
    fn nullable_args_are_tested() -> Outcome {
        let (_, always) = lengths(FuncModel::ARENA_ARG)?;
        let (_, nullable) = lengths(FuncModel::ARENA_ARG | FuncModel::NULLABLE_ARG)?;
        assert!(always < nullable);
        Ok(())
    }
}
