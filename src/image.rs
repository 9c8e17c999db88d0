// SPDX-License-Identifier: GPL-2.0

//! Images: from a plan to bytes and records, and two images compared.
//!
//! This is the one room that knows how the kernel's request for an image becomes one. There are
//! three ways in, and one street behind them: a program is attached through the device
//! (`attach`), the kernel calls its builder while the hooks are on (`hooks`), user space asks for
//! a comparison (`compare`). Each brings a [`Plan`](crate::kapi::plan::Plan).
//!
//! | room       | what it knows                                                     |
//! |------------|-------------------------------------------------------------------|
//! | `describe` | a plan in the builder's terms                                     |
//! | `built`    | running the builder; the type of its images, made only here       |
//! | `refusal`  | what each error of the builder means to those who ask for images  |
//! | `diff`     | an image of each builder, compared                                |
//! | `probe`    | which quirks the C builder of the running kernel has              |

mod built;
mod describe;
mod diff;
mod probe;
mod refusal;

pub(crate) use {
    built::{
        build,
        measure,
        BuiltImage,
        Tried, //
    },
    diff::{
        ask_c,
        code_of,
        compare_sizes,
        Comparison,
        Difference, //
    },
    probe::{
        probe_quirks,
        scratch_page, //
    },
    refusal::Refusal,
};
