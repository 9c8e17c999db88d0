// SPDX-License-Identifier: GPL-2.0

//! The function metadata word, which tells a tracing program what it is called for.
//!
//! A trampoline image keeps it at `ctx[-1]`, one word below the arguments:
//!
//! ```text
//!  63           62 .. 16   15 .. 8         7 .. 0
//! +------------+----------+---------------+---------------------+
//! | is return  | 0        | cookie index  | number of arguments |
//! +------------+----------+---------------+---------------------+
//! ```
//!
//! The number of arguments counts 8-byte words. The cookie index is the distance from `ctx` down
//! to the program's session cookie, in 8-byte words: the cookie lies at `ctx[-index]`.
//!
//! C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)

#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

/// The function metadata word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncMeta {
    nr_args: u8,
    cookie_index: u8,
    is_return: bool,
}

impl FuncMeta {
    /// Lowest bit of the cookie index (`BPF_TRAMP_COOKIE_INDEX_SHIFT`).
    pub const COOKIE_INDEX_SHIFT: u32 = 8;
    /// The bit that tells the return of a session from its entry (`BPF_TRAMP_IS_RETURN_SHIFT`).
    pub const IS_RETURN_SHIFT: u32 = 63;

    /// The word at entry of a function with `nr_args` words of arguments, for a program without
    /// session cookie.
    pub const fn new(nr_args: u8) -> Self {
        Self {
            nr_args,
            cookie_index: 0,
            is_return: false,
        }
    }

    /// The same word for a program whose session cookie lies at `ctx[-index]`.
    pub const fn with_cookie(self, index: u8) -> Self {
        Self {
            cookie_index: index,
            ..self
        }
    }

    /// The same word at return of the function.
    pub const fn at_return(self) -> Self {
        Self {
            is_return: true,
            ..self
        }
    }

    /// The word as it lies in memory.
    pub fn bits(self) -> u64 {
        u64::from(self.nr_args)
            | (u64::from(self.cookie_index) << Self::COOKIE_INDEX_SHIFT)
            | (u64::from(self.is_return) << Self::IS_RETURN_SHIFT)
    }
}
