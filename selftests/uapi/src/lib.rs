// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_fsession` for programs: [`abi`] is the Rust mirror of the C header, with which
//! `tests/header.rs` compares it, [`device`] an open descriptor, [`debugfs`] the files beside it.

#[path = "../../../src/uapi/abi.rs"]
pub mod abi;
pub mod debugfs;
pub mod device;
