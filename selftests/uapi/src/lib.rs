// SPDX-License-Identifier: GPL-2.0

//! The Rust mirror of the ioctl ABI, as a library for the host. `tests/header.rs` compares it with
//! the C header.

#[path = "../../../src/uapi/abi.rs"]
pub mod abi;
