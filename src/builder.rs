// SPDX-License-Identifier: GPL-2.0

//! Builder of BPF trampoline images for x86-64.
//!
//! A trampoline image is machine code that a traced function enters: it saves the arguments, runs
//! the attached BPF programs before and after the original function, and returns. [`build`] writes
//! an image into a buffer; [`draft()`] one that has no place yet.
//!
//! The builder depends on `core` only: it takes plain data and returns bytes and records, and it
//! neither allocates nor accesses the kernel. The image is byte for byte that of the kernel's
//! `arch_prepare_bpf_trampoline()`, including its [`Quirks`].
//!
//! From the bottom up:
//!
//! | module     | what it holds                                                |
//! |------------|--------------------------------------------------------------|
//! | `list`     | lists with space for a fixed number of elements              |
//! | `writer`   | bytes, their limit, and the address where they will run      |
//! | `asm`      | instructions: registers, memory operands, labels             |
//! | `model`    | how the function's arguments are passed                      |
//! | `frame`    | layout of the stack frame                                    |
//! | `args`     | saving, restoring and passing arguments                      |
//! | `programs` | call sequences of programs                                   |
//! | `sequence` | call sequences that are copied                               |
//! | `draft`    | images that are whole but for what depends on their place    |
//! | `image`    | the whole image                                              |
//! | `tests`    | unit tests, for the host and for KUnit                       |
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
mod draft;
mod error;
mod flags;
mod frame;
mod image;
mod list;
mod machine;
mod model;
mod programs;
mod quirks;
mod request;
mod sequence;
#[cfg(any(test, CONFIG_KUNIT = "y"))]
pub(crate) mod tests;
pub(crate) mod writer;

pub use draft::Draft;
pub use error::Error;
pub use flags::Flags;
pub use machine::{CallDepth, Callee, Machine, Preamble};
pub use model::{FuncModel, MAX_ARGS};
pub use quirks::Quirks;
pub use request::{Marks, Program, Programs, Request, Skip, Target, MAX_LINKS};

use error::Result;
use image::Generator;
use request::Skips;
use writer::{Writer, PAGE};

/// Maximum size of an image in bytes, safety tail included: one page, as in C (`PAGE_SIZE`).
pub const IMAGE_MAX: u16 = 4096;

/// Bytes that are reserved after the last instruction of an image (`BPF_INSN_SAFETY`).
pub const SAFETY: u16 = 64;

/// Size of an instruction that can be patched: a `call`, a `jmp`, a 5-byte nop (`X86_PATCH_SIZE`).
pub const PATCH_SIZE: u16 = 5;

/// Size of an `endbr64` (`ENDBR_INSN_SIZE` with `CONFIG_X86_KERNEL_IBT`).
pub(crate) const ENDBR_INSN_SIZE: u16 = 4;

/// Builds the image for `req` in `buf`, to run at the address `ip`.
///
/// The code begins at `buf[0]` and has [`Marks::code_len`] bytes; the rest of `buf` is not changed.
/// `skips` receives one record for each program call, in the order of the image. `draft` is working
/// memory.
///
/// Counterpart of `arch_prepare_bpf_trampoline()`.
///
/// # Errors
///
/// - [`Error::TooBig`]: the code does not fit `buf` or [`IMAGE_MAX`], `skips` is shorter than the
///   list of programs, or there are more than [`MAX_LINKS`] of them. C writes past the end.
/// - [`Error::OutOfRange`]: a callee, the return thunk or a call-depth counter is more than 2 GiB
///   away from `ip`.
/// - [`Error::Invalid`]: the request is inconsistent.
/// - [`Error::Uncovered`]: the image would have a quirk that is switched off.
///
/// After an error the contents of `buf` and `skips` are undefined. Nothing outside of them is ever
/// written.
pub fn build(
    req: &Request<'_>,
    ip: u64,
    buf: &mut [u8],
    skips: &mut [Skip],
    draft: &mut Draft,
) -> Result<Marks> {
    let marks = self::draft(req, ip, buf, skips, draft)?;
    draft.place(&req.programs, skips, buf, ip, req.image)?;
    Ok(marks)
}

/// Makes a draft of the image for `req` in `buf`: the image that [`build`] builds, but for call
/// sequences that are copied once it has its place ([`Draft::place`]).
///
/// Counterpart of `arch_bpf_trampoline_size()`, whose result is [`Marks::size`].
///
/// # Errors
///
/// Those of [`build`].
pub fn draft(
    req: &Request<'_>,
    ip: u64,
    buf: &mut [u8],
    skips: &mut [Skip],
    draft: &mut Draft,
) -> Result<Marks> {
    draft.begin(ip, req.image);
    let skips = Skips::over(skips);
    match buf.first_chunk_mut::<PAGE>() {
        Some(page) => Generator::new(req, Writer::new(page, ip), skips, draft)?.image(),
        None => Generator::new(req, Writer::new(buf, ip), skips, draft)?.image(),
    }
}
