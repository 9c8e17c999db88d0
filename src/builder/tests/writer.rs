// SPDX-License-Identifier: GPL-2.0

//! Bounds of an image.

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(rust_fsession_writer))]
mod tests {
    use super::super::fixture::IP;
    use super::super::Outcome;
    use crate::builder::asm::Asm;
    use crate::builder::writer::{Writer, PAGE};
    use crate::builder::{Draft, Error};

    #[test]
    fn a_full_buffer() -> Outcome {
        let mut code = [0xcc; 8];
        let mut draft = Draft::default();
        let mut asm = Asm::new(Writer::new(&mut code[..4], IP), None, &mut draft);
        asm.endbr64()?;
        assert_eq!(asm.leave(), Err(Error::TooBig));
        assert_eq!(asm.pos(), 4);
        assert_eq!(code, [0xf3, 0x0f, 0x1e, 0xfa, 0xcc, 0xcc, 0xcc, 0xcc]);
        Ok(())
    }

    #[test]
    fn patches_only_what_it_has() -> Outcome {
        let mut bytes = [0xcc; 8];
        let mut code = Writer::new(&mut bytes[..], IP);
        code.put([1, 2, 3, 4])?;
        *code.at(1)? = [9, 9];
        assert_eq!(code.at::<2>(3), Err(Error::TooBig));
        assert_eq!(code.at::<1>(u16::MAX), Err(Error::TooBig));
        assert_eq!(code.address(2), IP + 6);
        assert_eq!(bytes, [1, 9, 9, 4, 0xcc, 0xcc, 0xcc, 0xcc]);
        Ok(())
    }

    #[test]
    fn skips_only_what_there_is() -> Outcome {
        let mut bytes = [0xcc; 8];
        let mut code = Writer::new(&mut bytes[..6], IP);
        code.put([1, 2])?;
        code.skip(3)?;
        assert!(code.has_room(1) && !code.has_room(2));
        assert_eq!(code.skip(2), Err(Error::TooBig));
        *code.at(3)? = [9];
        code.put([3])?;
        assert_eq!(code.pos(), 6);
        assert_eq!(bytes, [1, 2, 0xcc, 9, 0xcc, 3, 0xcc, 0xcc]);
        Ok(())
    }

    /// The limit is a page without the safety tail.
    #[test]
    fn writes_to_the_end_of_a_page() -> Outcome {
        let mut page = [0xcc; PAGE];
        let mut code = Writer::new(&mut page, IP);
        code.put([0; 4000])?;
        code.put_both([1; 16], [2; 15])?;
        assert_eq!(code.put_both([3], [4]), Err(Error::TooBig));
        assert_eq!(code.at::<2>(4030), Err(Error::TooBig));
        code.put([6])?;
        *code.at(4030)? = [7, 8];
        assert_eq!(code.put([9]), Err(Error::TooBig));
        assert_eq!(code.pos(), 4032);
        assert_eq!(page.get(4029..4034), Some(&[2, 7, 8, 0xcc, 0xcc][..]));
        Ok(())
    }

    /// The same in a buffer that is larger.
    #[test]
    fn a_larger_buffer_takes_no_more() -> Outcome {
        let mut bytes = [0xcc; PAGE + 8];
        let mut code = Writer::new(&mut bytes[..], IP);
        assert_eq!(code.put([0; 4033]), Err(Error::TooBig));
        assert_eq!(code.pos(), 0);
        code.put([0; 4032])?;
        assert_eq!(code.put([0]), Err(Error::TooBig));
        assert_eq!(bytes.get(4032), Some(&0xcc));
        Ok(())
    }
}
