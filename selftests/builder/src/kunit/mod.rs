// SPDX-License-Identifier: GPL-2.0

//! Tests of the pure rooms that run wherever those do: by `cargo test` on the host, and by KUnit
//! in a kernel with `CONFIG_KUNIT=y`, into whose module this directory is included as well.
//!
//! So they take nothing but `core` and the rooms themselves, and no more stack than a kernel thread
//! can spare. KUnit gives a test its own `assert!` and `assert_eq!`, which take no message and are
//! there in test functions only; everything else gives an error back, which fails the test.
//!
//! What takes a disassembler or arbitrary input is in the host's own tests.

pub(crate) mod bpf;
pub(crate) mod fixture;
pub(crate) mod golden;
pub(crate) mod listing;
mod preambles;
mod refusals;
pub(crate) mod session;
mod sink;

use crate::builder::Error;

/// What comes of a test.
type Outcome = Result<(), Error>;
