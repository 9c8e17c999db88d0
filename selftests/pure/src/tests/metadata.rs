// SPDX-License-Identifier: GPL-2.0

//! The function metadata word.

use crate::session::FuncMeta;

/// What a program computes from the word, as the verifier inlines it.
fn read(word: u64) -> (u64, u64, u64) {
    (word & 0xff, (word >> 8) & 0xff, word >> 63)
}

#[test]
fn fields() {
    for args in 0..=u8::MAX {
        let entry = FuncMeta::new(args);
        assert_eq!(entry.bits(), args.into());
        for index in [0, 1, 2, 37, u8::MAX] {
            let with = entry.with_cookie(index);
            assert_eq!(read(with.bits()), (args.into(), index.into(), 0));
            let at_return = with.at_return();
            assert_eq!(read(at_return.bits()), (args.into(), index.into(), 1));
            assert_eq!(at_return.bits() & !(1 << 63), with.bits());
        }
    }
}

#[test]
fn a_cookie_index_replaces_the_one_before() {
    let word = FuncMeta::new(6).with_cookie(0xff).with_cookie(2);
    assert_eq!(word.bits(), 0x206);
    assert_eq!(word.at_return().with_cookie(3).bits(), (1 << 63) | 0x306);
}
