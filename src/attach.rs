// SPDX-License-Identifier: GPL-2.0

//! The attach path: programs on a target, through images that Rust built.
//!
//! | room         | what it knows                                                   |
//! |--------------|-----------------------------------------------------------------|
//! | `program`    | an attached program                                             |
//! | `image`      | from a set of programs to an image, ready to be entered         |
//! | `trampoline` | adding and removing programs, swapping images                   |

mod image;
mod program;
mod trampoline;

pub(crate) use trampoline::Trampoline;
