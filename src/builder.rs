// SPDX-License-Identifier: GPL-2.0

//! Builder of BPF trampoline images for x86-64.
//!
//! A trampoline image is machine code that a traced function enters: it saves the arguments, runs
//! the attached BPF programs before and after the original function, and returns. [`build`] writes
//! an image into a buffer; [`measure`] runs the same generator with a sink that only counts.
//!
//! The builder depends on `core` only: it takes plain data and returns bytes and records, and it
//! neither allocates nor accesses the kernel. The image is byte for byte that of the kernel's
//! `arch_prepare_bpf_trampoline()`, including its [`Quirks`].
//!
//! From the bottom up:
//!
//! | module     | what it holds                                                |
//! |------------|--------------------------------------------------------------|
//! | `sink`     | bytes, their limit, and the address where they will run      |
//! | `asm`      | instructions: registers, memory operands, labels             |
//! | `model`    | how the function's arguments are passed                      |
//! | `frame`    | layout of the stack frame                                    |
//! | `args`     | saving, restoring and passing arguments                      |
//! | `programs` | call sequences of programs                                   |
//! | `relocation` | what depends on the place of an image                     |
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
mod error;
mod flags;
mod frame;
mod image;
mod machine;
mod model;
mod programs;
mod quirks;
pub(crate) mod relocation;
mod request;
pub(crate) mod sink;
#[cfg(any(test, CONFIG_KUNIT = "y"))]
pub(crate) mod tests;

pub use error::Error;
pub use flags::Flags;
pub use machine::{CallDepth, Callee, Machine, Preamble};
pub use model::{FuncModel, MAX_ARGS};
pub use quirks::Quirks;
pub use relocation::{Movable, Relocations, MAX_REL32};
pub use request::{Marks, Program, Programs, Request, Skip, Target, MAX_LINKS};

use error::Result;
use image::Generator;
use relocation::Recorder;
use request::Skips;
use sink::{Counter, Writer, PAGE};

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
/// `skips` receives one record for each program call, in the order of the image.
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
pub fn build(req: &Request<'_>, ip: u64, buf: &mut [u8], skips: &mut [Skip]) -> Result<Marks> {
    let (marks, _) = generate(req, ip, buf, skips, Recorder::none())?;
    Ok(marks)
}

/// Builds the image for `req` in `buf` as [`build`] does, and finds out what depends on its place:
/// `rel32` receives the offsets of displacements. An image that is [`Movable`] can get another place
/// without being built again.
///
/// # Errors
///
/// Those of [`build`]; [`Error::TooBig`] if `rel32` has less than [`MAX_REL32`] elements and more are
/// needed.
pub fn draft(
    req: &Request<'_>,
    ip: u64,
    buf: &mut [u8],
    skips: &mut [Skip],
    rel32: &mut [u16],
) -> Result<(Marks, Relocations)> {
    generate(req, ip, buf, skips, Recorder::over(rel32))
}

fn generate(
    req: &Request<'_>,
    ip: u64,
    buf: &mut [u8],
    skips: &mut [Skip],
    relocations: Recorder<'_>,
) -> Result<(Marks, Relocations)> {
    let skips = Skips::over(skips);
    match buf.first_chunk_mut::<PAGE>() {
        Some(page) => Generator::new(req, Writer::new(page, ip), skips, relocations)?.image(),
        None => Generator::new(req, Writer::new(buf, ip), skips, relocations)?.image(),
    }
}

/// Returns size and marks of the image for `req` without writing it.
///
/// The result is that of [`build`] for the same `req` and `ip` with buffers that are large enough.
///
/// Counterpart of `arch_bpf_trampoline_size()`, whose result is [`Marks::size`].
///
/// # Errors
///
/// Those of [`build`].
pub fn measure(req: &Request<'_>, ip: u64) -> Result<Marks> {
    let (skips, relocations) = (Skips::counting(), Recorder::none());
    let (marks, _) = Generator::new(req, Counter::new(ip), skips, relocations)?.image()?;
    Ok(marks)
}
