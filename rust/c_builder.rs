// SPDX-License-Identifier: GPL-2.0

//! The kernel's own builder, asked by this module.
//!
//! C bounds no write: it checks the end of an image once it has passed it. So it is only asked for
//! what the Rust builder has [tried](super::code::ImageRoom::Tried).
//!
//! C: `arch_prepare_bpf_trampoline()` in `arch/x86/net/bpf_jit_comp.c`

use super::{
    bindings,
    code::{
        skip_records,
        SkipRecord,
        Tried,
        TriedPlan, //
    },
    symbols::Symbols,
    tramp_image::FreshImage,
};
use core::{
    mem,
    ptr, //
};
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*, //
};

/// An image that the C builder made.
#[derive(Default)]
pub(crate) struct CImage {
    /// The bytes of the whole image. Those of its tail are arbitrary.
    pub(crate) bytes: KVec<u8>,
    /// As [`Runnable::skips()`](super::code::Runnable::skips).
    pub(crate) skips: KVec<SkipRecord>,
    /// As [`Runnable::fp()`](super::code::Runnable::fp).
    pub(crate) fp: (u32, u32),
}

impl CImage {
    /// Size of the image in bytes, its tail included.
    pub(crate) fn size(&self) -> u32 {
        self.bytes.len().try_into().unwrap_or(u32::MAX)
    }
}

/// Measures an image, in bytes (`arch_bpf_trampoline_size()`).
///
/// # Errors
///
/// The C builder's.
pub(crate) fn measure(tried: &Tried<'_>, _symbols: Symbols) -> Result<u32> {
    let (model, flags, nodes, func) = tried.plan().as_args();
    // SAFETY: `_symbols` proves that the call is bound. The parameters are good by the invariant of
    // `Plan`. C writes to a page of its own, which a tried plan does not overrun.
    to_size(unsafe { bindings::rf_arch_bpf_trampoline_size(model, flags, nodes, func) })
}

/// Builds an image in the memory of `image` (`arch_prepare_bpf_trampoline()`), which has to be
/// large enough for what C measures.
///
/// # Errors
///
/// The C builder's, `ENOMEM`.
pub(crate) fn build(tried: &Tried<'_>, image: &mut FreshImage) -> Result<CImage> {
    let (model, flags, nodes, func) = tried.plan().as_args();
    let start = image.text().as_ptr();
    let end = start.wrapping_byte_add(image.text().size() as usize);
    let no_skip = bindings::bpf_tramp_skip::default();
    let nr_skips = tried.plan().counts().iter().sum();
    let mut skips = KVec::from_elem(no_skip, nr_skips, GFP_KERNEL)?;
    let im = image.im();
    // SAFETY: As in `measure()`; `FreshImage` has `Symbols`. No task is in the image, so that this
    // is the only access to its text and to these fields of `im`. Each program has a skip record.
    let ret = unsafe {
        (*im).skips = skips.as_mut_ptr();
        (*im).nr_skips = 0;
        bindings::rf_arch_prepare_bpf_trampoline(im, start, end, model, flags, nodes, func)
    };
    // SAFETY: As above. The image does not keep the records, which end with this function.
    let (nr_skips, fp) = unsafe {
        (*im).skips = ptr::null_mut();
        let nr_skips = mem::take(&mut (*im).nr_skips);
        (nr_skips, ((*im).ksym.fp_start, (*im).ksym.fp_end))
    };
    let size = usize::try_from(to_size(ret)?)?;
    skips.truncate(usize::try_from(nr_skips)?);

    let mut bytes = KVec::new();
    image.text().read(size, &mut bytes)?;
    Ok(CImage {
        bytes,
        skips: skip_records(skips.iter().map(SkipRecord::from))?,
        fp,
    })
}

/// A size in bytes, or the error that a negative value stands for.
pub(super) fn to_size(ret: c_int) -> Result<u32> {
    to_result(ret.min(0))?;
    Ok(u32::try_from(ret)?)
}
