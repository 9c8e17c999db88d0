// SPDX-License-Identifier: GPL-2.0

//! Finds out how the C builder of the running kernel behaves where its headers do not tell.

use super::{
    ask_c,
    build, //
};
use crate::{
    builder::Flags,
    kapi::{
        btf_func_model::BtfFuncModel,
        fake_prog::FakeProgs,
        features,
        plan::OwnPlan,
        text::ExecText,
        tramp_image::{
            FreshImage,
            Images,
            Purpose, //
        },
    },
    platform::Platform,
};
use core::iter;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Finds out whether C has the quirk [`indirect_args_too_high`](crate::builder::Quirks): has it
/// build an image with an argument on the stack, and takes the setting for `platform` that gives the
/// same image.
///
/// # Errors
///
/// `ENOMEM`, `ENODEV` while the module goes.
pub(crate) fn probe_quirks(platform: &mut Platform) -> Result {
    // Six arguments in registers, one on the stack.
    let model = BtfFuncModel::new(&[8; 7], &[0; 7])?;
    let no_programs = FakeProgs::new(iter::empty(), None)?;
    let func = platform.machine.tramp_enter.addr;
    let own = OwnPlan::pretended(model, func, Flags::INDIRECT.bits(), &no_programs, &[])?;
    let plan = own.plan();
    let mut page = scratch_page(platform)?;
    for too_high in [false, true] {
        platform.machine.quirks.indirect_args_too_high = too_high;
        let tried = build(platform, &plan, page.place())?;
        let c = ask_c(&tried, &mut page, platform.symbols);
        if tried.diff(&c)?.is_none() {
            return Ok(());
        }
    }
    platform.machine.quirks.indirect_args_too_high = false;
    pr_warn!("C reads the arguments of indirect images from an unknown place\n");
    Ok(())
}

/// A page of executable memory where both builders build, one after the other.
///
/// # Errors
///
/// `EPERM` if the limit of the JIT is reached, `ENOMEM`, `ENODEV` while the module goes.
pub(crate) fn scratch_page(platform: &Platform) -> Result<FreshImage> {
    let text = ExecText::alloc(u32::try_from(features::PAGE_SIZE)?, platform.symbols)?;
    let images = Arc::pin_init(Images::new(), GFP_KERNEL)?;
    let purpose = Purpose {
        target: c"compare",
        call_orig: true,
    };
    FreshImage::new(
        text,
        &purpose,
        &images,
        &platform.queue,
        platform.module_ref()?,
    )
}
