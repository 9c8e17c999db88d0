// SPDX-License-Identifier: GPL-2.0

//! Tests of the pure rooms that take a disassembler or arbitrary input. The others are in
//! [`kunit`](crate::kunit).

mod disasm;
mod encoder;
mod fixture;
mod golden;
mod images;
mod quirks;
mod session;
mod strategy;
