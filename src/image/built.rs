// SPDX-License-Identifier: GPL-2.0

//! Runs the builder. Only this file can make a [`BuiltImage`].

use super::{
    describe::Described,
    refusal::{
        Failure,
        Refusal, //
    }, //
};
use crate::{
    builder::{
        self,
        Marks,
        Skip, //
    },
    kapi::{
        addr_of, code, features,
        plan::{
            Place,
            Plan, //
        },
    },
    platform::Platform,
};
use kernel::{
    alloc::AllocError,
    prelude::*, //
};

/// Fills the tail of an image: traps.
const INT3: u8 = 0xcc;

/// An image that the Rust builder made for a plan at a place.
///
/// # Invariants
///
/// `bytes` and `records` are what the builder gave for `plan` at `place`.
pub(crate) struct BuiltImage<'p> {
    plan: &'p Plan<'p>,
    place: Place,
    marks: Marks,
    bytes: KVec<u8>,
    records: code::Records,
}

/// A plan that the Rust builder has tried, and that the C builder may be asked for as well.
///
/// # Invariants
///
/// The builder has built an image for `plan` that fits a page, or has found an error that C finds
/// as well, no more than a page into the image.
pub(crate) struct Tried<'p> {
    plan: &'p Plan<'p>,
    image: Result<BuiltImage<'p>>,
}

/// Measures the image for `plan` at `place`, if it has one yet, in bytes. The inner error is one that
/// C gives as well.
pub(crate) fn measure(
    platform: &Platform,
    plan: &Plan<'_>,
    place: Option<Place>,
) -> core::result::Result<Result<u32>, Refusal> {
    let run = || {
        let described = Described::new(platform, plan)?;
        // Without a place, distances count from the kernel itself. Every object of the heap has an
        // address that takes as many bytes of code as that of the image to come.
        let place = place.unwrap_or(Place {
            text: platform.machine.tramp_enter.addr,
            im: addr_of(platform),
        });
        let marks = builder::measure(&described.request(place.im), place.text)?;
        Ok(marks.size().into())
    };
    or_shared(run())
}

/// Builds the image for `plan` at `place`.
pub(crate) fn build<'p>(
    platform: &Platform,
    plan: &'p Plan<'p>,
    place: Place,
) -> core::result::Result<Tried<'p>, Refusal> {
    let run = || {
        let described = Described::new(platform, plan)?;
        let mut bytes = KVec::from_elem(INT3, features::PAGE_SIZE, GFP_KERNEL)?;
        let mut skips = KVec::from_elem(Skip::default(), described.nr_skips(), GFP_KERNEL)?;
        let request = described.request(place.im);
        let marks = builder::build(&request, place.text, &mut bytes, &mut skips)?;
        bytes.truncate(marks.size().into());
        // INVARIANT: All of it has just been built.
        Ok(BuiltImage {
            plan,
            place,
            marks,
            bytes,
            records: records(place, marks, &skips)?,
        })
    };
    // INVARIANT: The builder writes no more than a page, and other errors than shared ones are
    // refusals.
    or_shared(run()).map(|image| Tried { plan, image })
}

/// Separates the errors that C gives as well from refusals.
fn or_shared<T>(
    result: core::result::Result<T, Failure>,
) -> core::result::Result<Result<T>, Refusal> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Shared(e)) => Ok(Err(e)),
        Err(Failure::Refused(refusal)) => Err(refusal),
    }
}

/// Converts the builder's records, which count from the image's start, for the kernel.
fn records(
    place: Place,
    marks: Marks,
    skips: &[Skip],
) -> core::result::Result<code::Records, AllocError> {
    let mut records = code::Records {
        skips: KVec::with_capacity(skips.len(), GFP_KERNEL)?,
        fp: (marks.fp_start.into(), marks.fp_end.into()),
    };
    for skip in skips {
        let record = code::SkipRecord {
            prog: skip.prog,
            nop: place.text.wrapping_add(skip.nop.into()),
            target: place.text.wrapping_add(skip.target.into()),
        };
        records.skips.push(record, GFP_KERNEL)?;
    }
    Ok(records)
}

impl BuiltImage<'_> {
    /// Size of the image in bytes, its tail of traps included.
    pub(crate) fn size(&self) -> u32 {
        self.marks.size().into()
    }

    /// The code, without the tail.
    pub(crate) fn code(&self) -> &[u8] {
        let code_len = usize::from(self.marks.code_len);
        self.bytes.get(..code_len).unwrap_or(&self.bytes)
    }

    /// The marks of the image.
    pub(crate) fn marks(&self) -> Marks {
        self.marks
    }
}

impl<'p> Tried<'p> {
    /// The image.
    ///
    /// # Errors
    ///
    /// The one that C gives as well.
    pub(crate) fn image(&self) -> Result<&BuiltImage<'p>> {
        self.image.as_ref().map_err(|e| *e)
    }
}

impl code::ImageRoom for code::TheImageRoom {
    type Image<'p> = BuiltImage<'p>;
    type Tried<'p> = Tried<'p>;
}

impl code::Runnable for BuiltImage<'_> {
    fn plan(&self) -> &Plan<'_> {
        self.plan
    }

    fn place(&self) -> Place {
        self.place
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn records(&self) -> &code::Records {
        &self.records
    }
}

impl<'p> code::TriedPlan<'p> for Tried<'p> {
    fn plan(&self) -> &Plan<'p> {
        self.plan
    }
}
