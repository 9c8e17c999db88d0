// SPDX-License-Identifier: GPL-2.0

//! Tests that need a disassembler or arbitrary input. The unit tests are in
//! [`builder::tests`](crate::builder::tests) and [`session::tests`](crate::session::tests).

mod disasm;
mod encoder;
mod fixture;
mod golden;
mod images;
mod quirks;
mod session;
mod strategy;
