// SPDX-License-Identifier: GPL-2.0

//! The attach path: programs on a target, through images that Rust built.
//!
//! | room         | what it knows                                                   |
//! |--------------|-----------------------------------------------------------------|
//! | `program`    | an attached program                                             |
//! | `plan`       | which flags and lists a set of programs makes                   |
//! | `image`      | from a plan to an image that waits for tasks, and its reference |
//! | `trampoline` | adding and removing programs, swapping images                   |

mod image;
mod plan;
mod program;
mod trampoline;

pub(crate) use trampoline::Trampoline;
