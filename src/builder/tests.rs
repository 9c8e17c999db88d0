// SPDX-License-Identifier: GPL-2.0

//! Unit tests of the image builder.
//!
//! They run in two places: `cargo test` builds them on the host, and a kernel with
//! `CONFIG_KUNIT=y` runs them when the module is loaded. They use nothing but `core` and the
//! builder itself, and no more stack than a kernel thread can spare. KUnit replaces `assert!` and
//! `assert_eq!` in test functions by its own, which take no message; helpers return an error
//! instead, which fails the test.
//!
//! Tests that need a disassembler or arbitrary input are in `selftests/builder`.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a panic fails the test"
)]

mod arena;
pub(crate) mod fixture;
pub(crate) mod golden;
pub(crate) mod listing;
mod preambles;
mod refusals;
mod writer;

use super::Error;

/// Result of a test.
type Outcome = Result<(), Error>;
