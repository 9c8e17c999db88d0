// SPDX-License-Identifier: GPL-2.0

//! The BPF trampoline image of x86-64.
//!
//! A trampoline image is the piece of machine code that a traced function enters instead of its
//! own body: it saves the arguments, runs the attached BPF programs around the original function
//! and goes back to the caller. [`build`] writes one into a buffer, [`measure`] runs the same
//! generator over a sink that only counts.
//!
//! This room is pure: plain data in, bytes and records out. It knows no kernel type, allocates
//! nothing and reads nothing but its arguments. The image is byte for byte the one that
//! `arch_prepare_bpf_trampoline()` of the same kernel makes; where C itself is wrong stands in
//! [`Quirks`].
//!
//! From the bottom up:
//!
//! | room       | what it knows                                            |
//! |------------|----------------------------------------------------------|
//! | `sink`     | bytes, a limit, and the address where they will run      |
//! | `asm`      | instructions: registers, memory operands, labels         |
//! | `model`    | which argument travels in which register or stack word   |
//! | `frame`    | where everything lies below the frame pointer            |
//! | `args`     | moving the arguments between all those                   |
//! | `programs` | the call sequence of one program, and of a list of them  |
//! | `image`    | the order of it all                                      |
//!
//! C source: [`arch/x86/net/bpf_jit_comp.c`](srctree/arch/x86/net/bpf_jit_comp.c)

#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod args;
pub(crate) mod asm;
mod error;
mod flags;
mod frame;
mod image;
mod machine;
mod model;
mod programs;
mod quirks;
mod request;
pub(crate) mod sink;
#[cfg(any(test, CONFIG_KUNIT = "y"))]
pub(crate) mod tests;

pub use error::Error;
pub use flags::Flags;
pub use machine::{CallDepth, Callee, Machine, Preamble};
pub use model::{FuncModel, MAX_ARGS};
pub use quirks::Quirks;
pub use request::{Marks, Program, Programs, Request, Skip, Target, MAX_LINKS};

use error::Result;
use image::Generator;
use request::Skips;
use sink::Sink;

/// Most bytes of an image, its safety tail included: one page, as in C.
pub const IMAGE_MAX: u16 = 4096;

/// Bytes that an image claims behind its last instruction (`BPF_INSN_SAFETY`).
pub const SAFETY: u16 = 64;

/// Bytes of an instruction that can be patched in one go: a `call`, a `jmp`, a 5-byte nop
/// (`X86_PATCH_SIZE`).
pub const PATCH_SIZE: u16 = 5;

/// Bytes of an `endbr64` (`ENDBR_INSN_SIZE` with `CONFIG_X86_KERNEL_IBT`).
pub(crate) const ENDBR_INSN_SIZE: u16 = 4;

/// Builds the image for `req` into `buf`, to be run at the address `ip`.
///
/// The code begins at `buf[0]` and takes [`Marks::code_len`] bytes; what lies behind it is left as
/// it was. `skips` takes one record for each program call, in the order of the image.
///
/// Counterpart of `arch_prepare_bpf_trampoline()`.
///
/// # Errors
///
/// - [`Error::TooBig`]: the code does not fit `buf` or [`IMAGE_MAX`], `skips` is shorter than the
///   list of programs, or there are more than [`MAX_LINKS`] of them. C writes on past the end.
/// - [`Error::OutOfRange`]: from `ip`, a callee, the return thunk or a call-depth counter is
///   further away than 2 GiB.
/// - [`Error::Invalid`]: the parts of the request contradict each other.
/// - [`Error::Uncovered`]: a quirk that the image would show is switched off.
///
/// After an error `buf` and `skips` hold the beginning of something useless, never anything
/// outside of them.
pub fn build(req: &Request<'_>, ip: u64, buf: &mut [u8], skips: &mut [Skip]) -> Result<Marks> {
    Generator::new(req, Sink::over(buf, ip), Skips::over(skips))?.image()
}

/// Tells how long the image for `req` is and where its marks are, without writing it anywhere.
///
/// This is [`build`] over a sink that counts, so the answer is the one that [`build`] gives for the
/// same `req` and `ip`, with buffers that are large enough.
///
/// Counterpart of `arch_bpf_trampoline_size()`, whose result is [`Marks::size`].
///
/// # Errors
///
/// As those of [`build`].
pub fn measure(req: &Request<'_>, ip: u64) -> Result<Marks> {
    Generator::new(req, Sink::counting(ip), Skips::counting())?.image()
}
