// SPDX-License-Identifier: GPL-2.0

//! The second judge of trampoline images: it runs them.
//!
//! An image is mapped near stand-ins for everything that it calls, a traced function is called, and
//! what all of them have seen is held against the [`contract`]. The judge knows neither builder;
//! [`rust`] and [`dump`] only fetch what they have built.
//!
//! | room        | what it knows                                                     |
//! |-------------|-------------------------------------------------------------------|
//! | `case`      | what an image is asked for                                        |
//! | `abi`       | how a compiler passes arguments                                   |
//! | `behaviour` | how everything around an image may behave: the exam               |
//! | `contract`  | what must come of it                                              |
//! | `world`     | the memory in which an image runs                                 |
//! | `mocks`     | the stand-ins, in the process that runs images                    |
//! | `worker`    | that process, which an image may kill                             |
//! | `exam`      | all of them together: an image in, a report out                   |
//! | `cases`     | a grid of cases, and random ones                                  |
//!
//! `cargo test -p oracle` examines the grid, 2,000 random cases, images of C and planted faults.
//! From the environment:
//!
//! | variable        | what it asks for                                              |
//! |-----------------|---------------------------------------------------------------|
//! | `ORACLE_CASES`  | how many random cases (2000)                                  |
//! | `ORACLE_SEED`   | the number of the first of them (1); a number is a case       |
//! | `ORACLE_IMAGES` | files of other images to examine, in the form of [`dump`]     |
//!
//! A long run: `ORACLE_CASES=100000 cargo test --release -p oracle random -- --nocapture`.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod abi;
pub mod behaviour;
pub mod case;
pub mod cases;
pub mod contract;
pub mod dump;
pub mod exam;
pub mod image;
mod mocks;
pub mod rust;
pub mod worker;
pub mod world;
