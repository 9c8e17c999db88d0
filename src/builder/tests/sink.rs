// SPDX-License-Identifier: GPL-2.0

//! Bounds of the sink.

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_sink))]
mod tests {
    use super::super::fixture::IP;
    use super::super::Outcome;
    use crate::builder::asm::Asm;
    use crate::builder::relocation::Recorder;
    use crate::builder::sink::{Counter, Sink, Writer, PAGE};
    use crate::builder::Error;

    #[test]
    fn a_full_sink() -> Outcome {
        let mut code = [0xcc; 8];
        let mut asm = Asm::new(Writer::new(&mut code[..4], IP), None, Recorder::none());
        asm.endbr64()?;
        assert_eq!(asm.leave(), Err(Error::TooBig));
        assert_eq!(asm.pos(), 4);
        assert_eq!(code, [0xf3, 0x0f, 0x1e, 0xfa, 0xcc, 0xcc, 0xcc, 0xcc]);
        Ok(())
    }

    #[test]
    fn patches_only_what_it_has() -> Outcome {
        let mut code = [0xcc; 8];
        let mut sink = Writer::new(&mut code[..], IP);
        sink.put([1, 2, 3, 4])?;
        sink.patch(1, [9, 9])?;
        assert_eq!(sink.patch(3, [8, 8]), Err(Error::TooBig));
        assert_eq!(sink.patch(u16::MAX, [8]), Err(Error::TooBig));
        assert_eq!(sink.address(2), IP + 6);
        assert_eq!(code, [1, 9, 9, 4, 0xcc, 0xcc, 0xcc, 0xcc]);
        Ok(())
    }

    /// The limit is a page without the safety tail.
    #[test]
    fn counts_to_the_end_of_a_page() -> Outcome {
        let mut count = Counter::new(IP);
        count.put([0; 300])?;
        assert_eq!(count.patch(296, [0; 5]), Err(Error::TooBig));
        assert_eq!(count.pos(), 300);
        assert_eq!(count.put([0; 3733]), Err(Error::TooBig));
        count.put([0; 3732])?;
        assert_eq!(count.pos(), 4032);
        assert_eq!(count.put([0]), Err(Error::TooBig));
        assert_eq!(Counter::new(IP).put([0; 4033]), Err(Error::TooBig));
        Ok(())
    }

    /// The same, where the bounds are constants.
    #[test]
    fn writes_to_the_end_of_a_page() -> Outcome {
        let mut page = [0xcc; PAGE];
        let mut sink = Writer::new(&mut page, IP);
        sink.put([0; 4000])?;
        sink.put_both([1; 16], [2; 15])?;
        assert_eq!(sink.put_both([3], [4]), Err(Error::TooBig));
        assert_eq!(sink.patch(4030, [5, 5]), Err(Error::TooBig));
        sink.put([6])?;
        sink.patch(4030, [7, 8])?;
        assert_eq!(sink.put([9]), Err(Error::TooBig));
        assert_eq!(sink.pos(), 4032);
        assert_eq!(page.get(4029..4034), Some(&[2, 7, 8, 0xcc, 0xcc][..]));
        Ok(())
    }

    /// More bytes than a position can count are refused.
    #[test]
    fn positions_do_not_wrap() -> Outcome {
        let mut count = Counter::new(IP);
        count.put([0; 8])?;
        assert_eq!(count.put([0; 70_000]), Err(Error::TooBig));
        assert_eq!(count.put([0; 65_532]), Err(Error::TooBig));
        assert_eq!(count.pos(), 8);
        Ok(())
    }
}
