// SPDX-License-Identifier: GPL-2.0

//! From a set of programs to an image that is ready to be entered.
//!
//! C: `bpf_trampoline_update()` and `bpf_trampoline_get_progs()` in `kernel/bpf/trampoline.c`

use super::program::Attached;
use crate::{
    builder::{
        Flags,
        Marks, //
    },
    image::{
        self,
        Comparison, //
    },
    kapi::{
        bpf_prog::AttachKind,
        bpf_target::BpfTarget,
        features,
        plan::OwnPlan,
        text::ExecText,
        tramp_image::{
            FilledImage,
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

/// What `RUST_FSESSION_IOC_INFO` reports of an image.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) flags: Flags,
    pub(super) marks: Marks,
    pub(super) comparison: Comparison,
}

/// The flags of an image for `programs`.
fn flags(programs: &[Attached]) -> Flags {
    let any = |kind| programs.iter().any(|attached| attached.kind == kind);
    let after = [
        AttachKind::Fexit,
        AttachKind::ModifyReturn,
        AttachKind::Fsession,
    ];
    let mut flags = if !after.into_iter().any(any) {
        Flags::RESTORE_REGS
    } else if features::JMP_ENTRY {
        Flags::CALL_ORIG
    } else {
        Flags::CALL_ORIG | Flags::SKIP_FRAME
    };
    if programs
        .iter()
        .any(|attached| attached.prog.calls_get_func_ip())
    {
        flags = flags | Flags::IP_ARG;
    }
    flags
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
) -> Result<(FilledImage, Facts)> {
    let flags = flags(programs);
    // The kernel adds to the head of a list: the newest program runs first.
    let nodes = programs.iter().rev().flat_map(Attached::nodes);
    let own = OwnPlan::new(target, flags.bits(), nodes)?;
    let plan = own.plan();

    let size = image::measure(platform, &plan, None)??;
    let text = ExecText::alloc(size, platform.symbols)?;
    let purpose = Purpose {
        target: target.name(),
        call_orig: flags.contains(Flags::CALL_ORIG),
    };
    let mut fresh = FreshImage::new(
        text,
        &purpose,
        images,
        &platform.queue,
        platform.module_ref()?,
    )?;
    let tried = image::build(platform, &plan, fresh.place())?;
    let built = tried.image()?;
    if built.size() != size {
        pr_err!(
            "{}: the image has {} bytes instead of the measured {size}\n",
            target.name(),
            built.size()
        );
        return Err(EFAULT);
    }
    // C builds in the same place before it is filled.
    let c = image::ask_c(&tried, &mut fresh, platform.symbols);
    let comparison = match tried.diff(&c) {
        Ok(difference) => {
            if let Some(difference) = difference {
                pr_err!(
                    "{}: the C builder's image differs: {difference}\n",
                    target.name()
                );
            }
            difference.into()
        }
        Err(e) => {
            pr_warn!(
                "{}: the C builder's image cannot be compared: {e:?}\n",
                target.name()
            );
            Comparison::None
        }
    };
    let facts = Facts {
        flags,
        marks: built.marks(),
        comparison,
    };
    Ok((fresh.fill(built)?, facts))
}
