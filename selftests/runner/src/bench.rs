// SPDX-License-Identifier: GPL-2.0

//! Counting what trampolines cost, for `make bench`.
//!
//! | room        | what it counts                                    |
//! |-------------|---------------------------------------------------|
//! | `module`    | the ABI of `rust_fsession_bench.ko`, which counts |
//! | `programs`  | programs to count with                            |
//! | `clock`     | what a thread runs, and how long it waits         |
//! | `building`  | building images                                   |
//! | `calling`   | calling traced functions                          |
//! | `attaching` | attaching and detaching one program               |
//! | `inlining`  | session kfuncs in programs                        |
//! | `multi`     | one link on many functions                        |
//! | `timing`    | how long calls take                               |

pub mod attaching;
pub mod building;
pub mod calling;
pub mod clock;
pub mod inlining;
pub mod module;
pub mod multi;
pub mod programs;
pub mod timing;
