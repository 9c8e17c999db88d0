// SPDX-License-Identifier: GPL-2.0

//! Bounds of the sink.

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_sink))]
mod tests {
    use super::super::fixture::IP;
    use super::super::Outcome;
    use crate::builder::asm::Asm;
    use crate::builder::sink::Sink;
    use crate::builder::Error;

    #[test]
    fn a_full_sink() -> Outcome {
        let mut code = [0xcc; 8];
        let mut asm = Asm::new(Sink::over(&mut code[..4], IP), None);
        asm.endbr64()?;
        assert_eq!(asm.leave(), Err(Error::TooBig));
        assert_eq!(asm.pos(), 4);
        assert_eq!(code, [0xf3, 0x0f, 0x1e, 0xfa, 0xcc, 0xcc, 0xcc, 0xcc]);
        Ok(())
    }

    #[test]
    fn patches_only_what_it_has() -> Outcome {
        let mut code = [0xcc; 8];
        let mut sink = Sink::over(&mut code, IP);
        sink.put(&[1, 2, 3, 4])?;
        sink.patch(1, &[9, 9])?;
        assert_eq!(sink.patch(3, &[8, 8]), Err(Error::TooBig));
        assert_eq!(sink.patch(u16::MAX, &[8]), Err(Error::TooBig));
        assert_eq!(sink.address(2), IP + 6);
        assert_eq!(code, [1, 9, 9, 4, 0xcc, 0xcc, 0xcc, 0xcc]);
        Ok(())
    }

    /// The limit is a page without the safety tail.
    #[test]
    fn counts_to_the_end_of_a_page() -> Outcome {
        const BYTES: &[u8] = &[0; 4033];
        let mut count = Sink::counting(IP);
        count.put(&BYTES[..300])?;
        assert_eq!(count.patch(296, &BYTES[..5]), Err(Error::TooBig));
        assert_eq!(count.pos(), 300);
        assert_eq!(count.put(&BYTES[..3733]), Err(Error::TooBig));
        count.put(&BYTES[..3732])?;
        assert_eq!(count.pos(), 4032);
        assert_eq!(count.put(&BYTES[..1]), Err(Error::TooBig));
        assert_eq!(Sink::counting(IP).put(BYTES), Err(Error::TooBig));
        Ok(())
    }

    /// More bytes than a position can count are refused.
    #[test]
    fn positions_do_not_wrap() -> Outcome {
        static BYTES: [u8; 70_000] = [0; 70_000];
        let mut count = Sink::counting(IP);
        count.put(&[0; 8])?;
        assert_eq!(count.put(&BYTES), Err(Error::TooBig));
        assert_eq!(count.put(&BYTES[..65_532]), Err(Error::TooBig));
        assert_eq!(count.pos(), 8);
        Ok(())
    }
}
