// SPDX-License-Identifier: GPL-2.0

//! The metadata word and the inlined kfuncs, with arbitrary words and addresses.

use crate::session::tests::{inlined, with_word};
use crate::session::{FuncMeta, SessionKfunc};
use proptest::prelude::*;

/// A change of a word.
#[derive(Clone, Copy, Debug)]
enum Change {
    Cookie(u8),
    AtReturn,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![any::<u8>().prop_map(Change::Cookie), Just(Change::AtReturn)];
    prop::collection::vec(change, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..Default::default() })]

    /// The fields of a word are those that were set last, and no other bits are set.
    #[test]
    fn fields_come_back(args: u8, changes in changes()) {
        let (mut meta, mut index, mut is_return) = (FuncMeta::new(args), 0, false);
        for change in changes {
            match change {
                Change::Cookie(new) => (meta, index) = (meta.with_cookie(new), new),
                Change::AtReturn => (meta, is_return) = (meta.at_return(), true),
            }
        }
        let word = meta.bits();
        let [low, high, rest @ ..] = word.to_le_bytes();
        prop_assert_eq!((low, high), (args, index));
        prop_assert_eq!(rest, [0, 0, 0, 0, 0, if is_return { 0x80 } else { 0 }]);

        let read = |kfunc| with_word(0x1000, word, inlined(kfunc));
        prop_assert_eq!(read(SessionKfunc::IsReturn), Ok(is_return.into()));
        prop_assert_eq!(read(SessionKfunc::Cookie), Ok(0x1000 - 8 * u64::from(index)));
    }

    /// The inlined instructions do what the comments of the kfuncs in C say, for all words and
    /// addresses.
    #[test]
    fn instructions_mean_what_they_should(ctx: u64, word: u64) {
        let is_return = with_word(ctx, word, inlined(SessionKfunc::IsReturn));
        prop_assert_eq!(is_return, Ok((word >> 63) & 1));
        let cookie = with_word(ctx, word, inlined(SessionKfunc::Cookie));
        let off = (word >> 8) & 0xff;
        prop_assert_eq!(cookie, Ok(ctx.wrapping_sub(8 * off)));
    }
}
