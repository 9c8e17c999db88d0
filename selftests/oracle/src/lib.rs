// SPDX-License-Identifier: GPL-2.0

//! Executes trampoline images on the host and checks what they do.
//!
//! An image is mapped near mock functions for everything that it calls. A traced function is
//! called, the mocks record registers, stack and memory at each call, and the records are compared
//! with what the [`contract`] expects. The checks do not depend on either builder: [`rust`] and
//! [`dump`] only supply images.
//!
//! | module     | what it holds                                                           |
//! |------------|-------------------------------------------------------------------------|
//! | `case`     | a request for an image, independent of a builder                        |
//! | `cases`    | a grid of cases, and random ones                                        |
//! | `scenario` | what happens around an image in a run: results of helpers, detaching, … |
//! | `contract` | what must hold for a run: expectation and checks                        |
//! | `abi`      | how a compiler passes arguments                                         |
//! | `memory`   | the memory that images run in: code, stack, script and trace            |
//! | `mocks`    | mock functions, which record calls                                      |
//! | `child`    | the process that executes images, which an image may crash              |
//! | `checker`  | all of these together: an image in, a report out                        |
//! | `rust`     | images of the Rust builder                                              |
//! | `dump`     | images from files                                                       |
//!
//! `cargo test -p oracle` checks the grid, 2,000 random cases that are always the same and as many
//! that are drawn, images of the C builder, and mutations of correct images, which must be
//! rejected. The environment has options:
//!
//! | variable        | what it sets                                                       |
//! |-----------------|--------------------------------------------------------------------|
//! | `ORACLE_CASES`  | number of random cases (2000)                                      |
//! | `ORACLE_SEED`   | seed of the first of them (1, drawn); a case's seed reproduces it  |
//! | `ORACLE_IMAGES` | files of other images to check, see [`dump`]                       |
//!
//! A long run: `ORACLE_CASES=100000 cargo test --release -p oracle random -- --nocapture`.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod abi;
pub mod case;
pub mod cases;
pub mod checker;
pub mod child;
pub mod contract;
pub mod dump;
pub mod image;
pub mod memory;
mod mocks;
pub mod rust;
pub mod scenario;
