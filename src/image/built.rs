// SPDX-License-Identifier: GPL-2.0

//! Runs the builder. Only this file can make a [`BuiltImage`].

use super::{
    describe::{
        lists,
        Described, //
    },
    refusal::{
        Failure,
        Refusal, //
    }, //
};
use crate::{
    builder::{
        self,
        Marks, //
    },
    kapi::{
        addr_of, code,
        plan::{
            List,
            Place,
            Plan, //
        },
    },
    platform::{
        Measured,
        Memory,
        Platform,
        Scratch, //
    },
};
use kernel::prelude::*;

/// Fills the tail of an image: traps.
const INT3: u8 = 0xcc;

/// An image that the Rust builder made for a plan at a place.
///
/// # Invariants
///
/// The code, the records and `marks` are what the builder gave for `plan` at `place`; a tail of
/// traps follows the code.
pub(crate) struct BuiltImage<'p> {
    plan: &'p Plan<'p>,
    place: Place,
    marks: Marks,
    memory: Scratch<'p>,
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

/// Measures the image for `plan` at `place`, if it has one yet, in bytes: makes a draft, and keeps it
/// for [`build`]. The inner error is one that C gives as well.
pub(crate) fn measure(
    platform: &Platform,
    plan: &Plan<'_>,
    place: Option<Place>,
) -> core::result::Result<Result<u32>, Refusal> {
    let run = || {
        let epoch = platform.scratch.epoch();
        let mut scratch = platform.scratch.take()?;
        // Without a place, distances count from the kernel itself. Every object of the heap has an
        // address that takes as many bytes of code as that of the image to come.
        let place = place.unwrap_or(Place {
            text: platform.machine.tramp_enter.addr & ALIGNED,
            im: addr_of(platform),
        });
        let memory = &mut *scratch;
        let described = Described::new(platform, plan, memory)?;
        let marks = builder::draft(
            &described.request(&memory.programs, place.im),
            place.text,
            &mut memory.code,
            &mut memory.skips,
            &mut memory.draft,
        )?;
        memory.measured = Some(Measured {
            key: plan.key(),
            marks,
            epoch,
        });
        Ok(marks.size().into())
    };
    or_shared(run())
}

/// Where images begin: their code is aligned as their memory is.
const ALIGNED: u64 = !0xf;

/// Builds the image for `plan` at `place`.
pub(crate) fn build<'p>(
    platform: &'p Platform,
    plan: &'p Plan<'p>,
    place: Place,
) -> core::result::Result<Tried<'p>, Refusal> {
    let run = || {
        let mut scratch = platform.scratch.take()?;
        let memory = &mut *scratch;
        let marks = match placed(memory, platform.scratch.epoch(), plan, place) {
            Some(marks) => marks,
            None => {
                let described = Described::new(platform, plan, memory)?;
                builder::build(
                    &described.request(&memory.programs, place.im),
                    place.text,
                    &mut memory.code,
                    &mut memory.skips,
                    &mut memory.draft,
                )?
            }
        };
        let (code, size) = (marks.code_len.into(), marks.size().into());
        // An image that fits a page has room for its tail.
        let tail = memory.code.get_mut(code..size);
        tail.ok_or(builder::Error::TooBig)?.fill(INT3);
        // INVARIANT: All of it has just been built, or got its place.
        Ok(BuiltImage {
            plan,
            place,
            marks,
            memory: scratch,
        })
    };
    // INVARIANT: The builder writes no more than a page, and other errors than shared ones are
    // refusals.
    or_shared(run()).map(|image| Tried { plan, image })
}

/// Gives its place to the draft that was made of `plan` to be measured; none if there is none, or if
/// it would be another image there.
fn placed(memory: &mut Memory, epoch: u64, plan: &Plan<'_>, place: Place) -> Option<Marks> {
    let measured = memory.measured.take()?;
    if measured.epoch != epoch || measured.key != plan.key() {
        return None;
    }
    let mut described = memory.programs.iter();
    for list in List::ALL {
        for node in plan.programs(list) {
            let program = described.next()?;
            let drafted = (program.prog, program.entry.addr, program.cookie);
            if drafted != (node.prog.addr(), node.prog.entry(), node.cookie) {
                return None;
            }
        }
    }
    let programs = lists(plan.counts(), &memory.programs);
    let (skips, code) = (&memory.skips, &mut memory.code);
    let placed = memory
        .draft
        .place(&programs, skips, code, place.text, place.im);
    placed.ok().map(|()| measured.marks)
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

impl BuiltImage<'_> {
    /// Size of the image in bytes, its tail of traps included.
    pub(crate) fn size(&self) -> u32 {
        self.marks.size().into()
    }

    /// The code, without the tail.
    pub(crate) fn code(&self) -> &[u8] {
        self.first(self.marks.code_len)
    }

    fn first(&self, len: u16) -> &[u8] {
        let bytes = &self.memory.code;
        bytes.get(..usize::from(len)).unwrap_or(bytes)
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
        self.first(self.marks.size())
    }

    fn skips(&self) -> impl Iterator<Item = code::SkipRecord> + '_ {
        let skips = self.memory.skips.iter();
        // The builder's count from the image's start.
        let text = self.place.text;
        skips
            .take(self.marks.nr_skips.into())
            .map(move |skip| code::SkipRecord {
                prog: skip.prog,
                nop: text.wrapping_add(skip.nop.into()),
                target: text.wrapping_add(skip.target.into()),
            })
    }

    fn fp(&self) -> (u32, u32) {
        (self.marks.fp_start.into(), self.marks.fp_end.into())
    }
}

impl<'p> code::TriedPlan<'p> for Tried<'p> {
    fn plan(&self) -> &Plan<'p> {
        self.plan
    }
}
