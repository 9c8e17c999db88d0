// SPDX-License-Identifier: GPL-2.0

//! From a set of programs to an image that is ready to be entered.

use super::{
    plan::{
        self,
        Plan, //
    },
    program::Attached, //
};
use crate::{
    builder::{
        self,
        Flags,
        FuncModel,
        Marks,
        Preamble,
        Request,
        Skip,
        Target, //
    },
    judge::{
        self,
        Difference,
        Sides,
        Verdict, //
    },
    kapi::{
        bpf_target::BpfTarget,
        c_builder::CBuilder,
        ftrace::Entry,
        symbols::Symbols,
        text::ExecText,
        tramp_image::{
            FreshImage,
            Images,
            Purpose, //
        },
    },
    platform::Platform,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What fills the tail of an image: traps.
const INT3: u8 = 0xcc;

/// An image and what is to be told about it.
pub(super) struct Built {
    pub(super) image: FreshImage,
    pub(super) entry: Entry,
    pub(super) facts: Facts,
}

/// What is to be told about an image.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) flags: u32,
    pub(super) marks: Marks,
    pub(super) verdict: Verdict,
}

/// The target for the builder.
pub(super) fn describe(target: &BpfTarget) -> Result<Target> {
    let model = target.model();
    Ok(Target {
        model: FuncModel::new(model.arg_sizes(), model.arg_flags())?,
        addr: target.addr(),
        endbr: target.endbr(),
        // Only images that are called indirectly have one.
        preamble: Preamble::None,
    })
}

/// Builds the image for `programs` on `target`.
///
/// # Errors
///
/// The builder's, `EPERM` or `ENOMEM` for lack of memory, `ENODEV` while the module goes.
pub(super) fn build(
    platform: &Platform,
    images: &Arc<Images>,
    target: &BpfTarget,
    programs: &[Attached],
) -> Result<Built> {
    let plan = Plan::new(programs, platform)?;
    let described = describe(target)?;
    let mut request = Request {
        target: &described,
        flags: plan.flags,
        programs: plan.lists.programs(),
        machine: &platform.machine,
        // Any address that is as long as the one that is to come.
        image: u64::MAX >> 1,
        arena_base: None,
        scratch_align: 0,
    };
    let measured = builder::measure(&request, platform.machine.tramp_enter.addr)?;

    let text = ExecText::alloc(measured.size().into(), platform.bound)?;
    let purpose = Purpose {
        target: target.name(),
        call_orig: plan.call_orig(),
    };
    let mut image = FreshImage::new(text, &purpose, images, &platform.queue, platform.module()?)?;

    request.image = image.im_addr();
    let mut code = KVec::from_elem(INT3, usize::from(measured.size()), GFP_KERNEL)?;
    let mut skips = KVec::from_elem(Skip::default(), plan.lists.len(), GFP_KERNEL)?;
    let marks = builder::build(&request, image.addr(), &mut code, &mut skips)?;
    if marks != measured {
        pr_err!("{}: an image came out other than measured\n", target.name());
        return Err(EFAULT);
    }
    let skips = judge::skip_records(image.addr(), &skips)?;

    // C goes first, at the same address; what it wrote is overwritten.
    let fp = (marks.fp_start.into(), marks.fp_end.into());
    let ours = Sides::new(marks, &code, &skips);
    let verdict = match compare(
        &mut image,
        target,
        plan.flags,
        programs,
        &ours,
        platform.bound,
    ) {
        Ok(Ok(())) => Verdict::Identical,
        Ok(Err(difference)) => {
            pr_err!(
                "{}: the C builder's image differs: {difference}\n",
                target.name()
            );
            Verdict::Different
        }
        Err(e) => {
            pr_warn!("{}: the C builder was of no help: {e:?}\n", target.name());
            Verdict::None
        }
    };
    image.fill(&mut code, skips, fp)?;
    Ok(Built {
        image,
        entry: plan.entry(),
        facts: Facts {
            flags: plan.flags.bits(),
            marks,
            verdict,
        },
    })
}

/// Has the C builder build at the same place, and holds the Rust image against its.
fn compare(
    image: &mut FreshImage,
    target: &BpfTarget,
    flags: Flags,
    programs: &[Attached],
    ours: &Sides<'_>,
    bound: Symbols,
) -> Result<core::result::Result<(), Difference>> {
    let entries = plan::entries(programs);
    let mut c = CBuilder::new(target.model(), target.addr(), flags.bits(), entries, bound)?;
    let measured = c.measure()?;
    if measured != ours.size {
        // C is not to write where it takes more room than there is.
        return Ok(Err(Difference::Size(measured)));
    }
    let reference = c.fill(image, ours.size)?;
    Ok(ours.judge(&Sides::of_reference(&reference)))
}
