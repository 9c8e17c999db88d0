// SPDX-License-Identifier: GPL-2.0

//! The kernel's calls of the C builder, as another builder sees them.

use super::{
    bindings,
    c_builder::{
        to_size,
        CImage, //
    },
    code::{
        skip_records,
        Image,
        Runnable,
        SkipRecord, //
    },
    plan::{
        Place,
        Plan, //
    },
    symbols::{
        to_u64,
        Symbols, //
    },
};
use core::{
    ptr,
    slice, //
};
use kernel::{
    error::from_err_ptr,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// A call of `arch_bpf_trampoline_size()`.
pub(crate) struct SizeCall<'a> {
    plan: Plan<'a>,
}

impl<'a> SizeCall<'a> {
    pub(super) fn new(plan: Plan<'a>) -> Self {
        Self { plan }
    }

    /// What is to be measured.
    pub(crate) fn plan(&self) -> &Plan<'a> {
        &self.plan
    }

    /// Passes the call on to the kernel's function.
    ///
    /// # Errors
    ///
    /// Its own.
    pub(crate) fn ask_c(&self) -> Result<u32> {
        let (model, flags, nodes, func) = self.plan.as_args();
        // SAFETY: The hooks are only installed once the symbols are resolved. The parameters are
        // the kernel's own.
        to_size(unsafe { bindings::rf_arch_bpf_trampoline_size(model, flags, nodes, func) })
    }
}

/// A call of `arch_prepare_bpf_trampoline()`.
///
/// # Invariants
///
/// All pointers are as that function takes them, and valid for `'a`.
pub(crate) struct PrepareCall<'a> {
    im: *mut bindings::bpf_tramp_image,
    start: *mut c_void,
    end: *mut c_void,
    plan: Plan<'a>,
    /// Number of skip records that `im` had before the call.
    skips_before: usize,
}

impl<'a> PrepareCall<'a> {
    /// # Safety
    ///
    /// The parameters must be as `arch_prepare_bpf_trampoline()` takes them.
    pub(super) unsafe fn new(
        im: *mut bindings::bpf_tramp_image,
        start: *mut c_void,
        end: *mut c_void,
        plan: Plan<'a>,
    ) -> Self {
        let skips_before = if im.is_null() {
            0
        } else {
            // SAFETY: By the caller's promise, `im` is valid or null.
            unsafe { (*im).nr_skips }
        };
        // INVARIANT: By the caller's promise.
        Self {
            im,
            start,
            end,
            plan,
            skips_before: usize::try_from(skips_before).unwrap_or(0),
        }
    }

    /// What is to be built.
    pub(crate) fn plan(&self) -> &Plan<'a> {
        &self.plan
    }

    /// Where it is to be built.
    pub(crate) fn place(&self) -> Place {
        Place {
            text: to_u64(self.start.expose_provenance()),
            im: to_u64(self.im.expose_provenance()),
        }
    }

    /// Number of bytes at the place.
    pub(crate) fn room(&self) -> usize {
        self.end.addr().saturating_sub(self.start.addr())
    }

    /// The kernel's skip records, null if it keeps none for this image.
    fn skips(&self) -> *mut bindings::bpf_tramp_skip {
        if self.im.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: By the type invariant.
        unsafe { (*self.im).skips }
    }

    /// Passes the call on to the kernel's function.
    ///
    /// # Errors
    ///
    /// Its own.
    pub(crate) fn ask_c(&self) -> Result<u32> {
        let (model, flags, nodes, func) = self.plan.as_args();
        // SAFETY: The hooks are only installed once the symbols are resolved. The parameters are
        // the kernel's own.
        to_size(unsafe {
            bindings::rf_arch_prepare_bpf_trampoline(
                self.im, self.start, self.end, model, flags, nodes, func,
            )
        })
    }

    /// The image that the kernel's function has built, after it returned `size`. It has the records
    /// of `ours` where the kernel keeps none.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn c_image(&self, size: u32, ours: &Image<'_>) -> Result<CImage> {
        let len = usize::try_from(size)?.min(self.room());
        let mut bytes = KVec::with_capacity(len, GFP_KERNEL)?;
        // SAFETY: By the type invariant, the image has `room()` bytes, and no task is in it yet.
        let text = unsafe { slice::from_raw_parts(self.start.cast::<u8>(), len) };
        bytes.extend_from_slice(text, GFP_KERNEL)?;
        if self.skips().is_null() {
            let (skips, fp) = (skip_records(ours.skips())?, ours.fp());
            return Ok(CImage { bytes, skips, fp });
        }
        // SAFETY: By the type invariant; the kernel has `nr_skips` records there.
        let (skips, fp) = unsafe {
            (
                slice::from_raw_parts(self.skips(), usize::try_from((*self.im).nr_skips)?),
                ((*self.im).ksym.fp_start, (*self.im).ksym.fp_end),
            )
        };
        let skips = skips.get(self.skips_before..).unwrap_or_default();
        let skips = skip_records(skips.iter().map(SkipRecord::from))?;
        Ok(CImage { bytes, skips, fp })
    }

    /// Fills the kernel's image with `image`, built for this call.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `image` is built for another plan or place, or is larger than its place; those
    /// of `bpf_arch_text_copy()`.
    pub(crate) fn fill(&self, image: &Image<'_>, _symbols: Symbols) -> Result {
        let bytes = image.bytes();
        if !ptr::addr_eq(image.plan(), &self.plan)
            || image.place() != self.place()
            || bytes.len() > self.room()
        {
            return Err(EINVAL);
        }
        // SAFETY: `_symbols` proves that the call is bound, and it only reads its source. By the
        // type invariant and the check above the image holds the bytes, no task is in it yet, and
        // what `Image` holds may run there.
        from_err_ptr(unsafe {
            bindings::rf_bpf_arch_text_copy(
                self.start,
                bytes.as_ptr().cast_mut().cast(),
                bytes.len(),
            )
        })?;
        if self.im.is_null() {
            return Ok(());
        }
        // SAFETY: By the type invariant; the caller of the replaced function owns these fields.
        unsafe { ((*self.im).ksym.fp_start, (*self.im).ksym.fp_end) = image.fp() };
        let skips = self.skips();
        if skips.is_null() {
            return Ok(());
        }
        let mut nr_skips = self.skips_before;
        for skip in image.skips() {
            // SAFETY: The kernel has allocated a record for each program call.
            unsafe { *skips.add(nr_skips) = bindings::bpf_tramp_skip::from(&skip) };
            nr_skips += 1;
        }
        let nr_skips = c_int::try_from(nr_skips)?;
        // SAFETY: As above.
        unsafe { (*self.im).nr_skips = nr_skips };
        Ok(())
    }
}
