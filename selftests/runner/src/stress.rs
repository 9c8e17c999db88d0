// SPDX-License-Identifier: GPL-2.0

//! Everything at once, drawn from a seed: users of the module, their traffic, the
//! module itself, its neighbours in the kernel and the machine below.
//!
//! | room          | what it knows                                              |
//! |---------------|------------------------------------------------------------|
//! | `cast`        | the actors                                                 |
//! | `stage`       | what all of them play on, made before the first one starts |
//! | `board`       | where each says what it does, in shared memory             |
//! | `draw`        | choices, from the seed and the actor's name                |
//! | `turn`        | an actor's step                                            |
//! | `programs`    | BPF programs, and what they saw                            |
//! | `gate`        | holds a task where the module writes code                  |
//! | `lock`        | between actors that may be killed                          |
//! | `watch`       | starts, watches, kills and ends the actors                 |
//! | `accounts`    | nothing is left of all that: before and after              |
//! | `summary`     | the table at the end                                       |
//! | `users`, `traffic`, `neighbours`, `machine` | the actors themselves        |
//!
//! Each actor is a process, a copy of the one that watches, and all it does is
//! drawn from the seed, its name and its number. What the kernel makes of them
//! together is not, of course.

mod accounts;
mod board;
mod cast;
mod draw;
mod gate;
mod guard;
mod lock;
mod machine;
mod neighbours;
mod player;
mod programs;
mod stage;
mod stuck;
mod summary;
mod traffic;
mod turn;
mod users;
mod watch;

pub use cast::CAST;
pub use watch::{run, Order};
