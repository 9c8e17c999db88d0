// SPDX-License-Identifier: GPL-2.0

//! Host tests of the pure rooms.

mod disasm;
mod encoder;
mod fixture;
mod golden;
mod images;
mod metadata;
mod refusals;
mod strategy;
