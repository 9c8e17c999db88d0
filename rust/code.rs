// SPDX-License-Identifier: GPL-2.0

//! What may become code.
//!
//! Three things here lead a CPU into bytes that Rust wrote: filling an image of this module
//! ([`FreshImage::fill()`]), filling one of the kernel ([`PrepareCall::fill()`]) and making a
//! function enter an image ([`DirectCall`]). All of them take an [`Image`], and so does the C
//! builder, which writes past its page where an image does not fit.
//!
//! An [`Image`] is a type of the room that builds images. All its fields are private, so that only
//! the file that defines it can make one: this file is what the `unsafe` code here relies on. The
//! type is known through the trait [`ImageRoom`] alone, which that room implements for
//! [`TheImageRoom`]. Rust allows one implementation, so there is one such type in the module.
//!
//! [`FreshImage::fill()`]: super::tramp_image::FreshImage::fill
//! [`PrepareCall::fill()`]: super::build_call::PrepareCall::fill
//! [`DirectCall`]: super::ftrace::DirectCall

use super::{
    bindings,
    plan::{
        Place,
        Plan, //
    },
    symbols::to_u64,
};
use core::ptr;
use kernel::prelude::*;

/// Names the types of the room that builds images. Implemented once, for [`TheImageRoom`].
pub(crate) trait ImageRoom {
    /// An image. Its code does what the plan asks, at its place and nowhere else.
    type Image<'p>: Runnable;
    /// What the builder makes of a plan that the C builder may be asked for as well: C writes no
    /// more than a page for it, and does not warn.
    type Tried<'p>: TriedPlan<'p>;
}

/// The one room that builds images.
pub(crate) struct TheImageRoom;

/// An image that may become code.
pub(crate) type Image<'p> = <TheImageRoom as ImageRoom>::Image<'p>;

/// A plan that the C builder may be asked for.
pub(crate) type Tried<'p> = <TheImageRoom as ImageRoom>::Tried<'p>;

/// What is asked of an image before it becomes code.
pub(crate) trait Runnable {
    /// What it is built for.
    fn plan(&self) -> &Plan<'_>;

    /// Where it is to run.
    fn place(&self) -> Place;

    /// The bytes of the whole image, its tail of traps included.
    fn bytes(&self) -> &[u8];

    /// The program calls, in the image's order.
    fn skips(&self) -> impl Iterator<Item = SkipRecord> + '_;

    /// Where the frame pointer is set up and taken down, in bytes from the start (`ksym.fp_start`,
    /// `ksym.fp_end`).
    fn fp(&self) -> (u32, u32);
}

/// A plan that has been tried.
pub(crate) trait TriedPlan<'p> {
    /// The plan.
    fn plan(&self) -> &Plan<'p>;
}

/// A program call in an image, and the jump over it that detaching the program puts there
/// (`struct bpf_tramp_skip`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SkipRecord {
    /// Address of the `struct bpf_prog`.
    pub(crate) prog: u64,
    /// Address of the 5-byte nop in front of the call.
    pub(crate) nop: u64,
    /// Address right behind the call.
    pub(crate) target: u64,
}

/// Collects skip records.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn skip_records(skips: impl Iterator<Item = SkipRecord>) -> Result<KVec<SkipRecord>> {
    let mut records = KVec::with_capacity(skips.size_hint().0, GFP_KERNEL)?;
    for skip in skips {
        records.push(skip, GFP_KERNEL)?;
    }
    Ok(records)
}

impl From<&bindings::bpf_tramp_skip> for SkipRecord {
    fn from(skip: &bindings::bpf_tramp_skip) -> Self {
        Self {
            prog: to_u64(skip.prog.expose_provenance()),
            nop: to_u64(skip.nop.expose_provenance()),
            target: to_u64(skip.target.expose_provenance()),
        }
    }
}

impl From<&SkipRecord> for bindings::bpf_tramp_skip {
    fn from(skip: &SkipRecord) -> Self {
        Self {
            prog: ptr::with_exposed_provenance_mut(skip.prog as usize),
            nop: ptr::with_exposed_provenance_mut(skip.nop as usize),
            target: ptr::with_exposed_provenance_mut(skip.target as usize),
        }
    }
}
