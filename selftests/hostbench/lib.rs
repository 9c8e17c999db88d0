// SPDX-License-Identifier: GPL-2.0

//! Benchmarks are in `benches/`.
