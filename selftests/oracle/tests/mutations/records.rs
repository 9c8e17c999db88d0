// SPDX-License-Identifier: GPL-2.0

//! Mutations of an image's records.

use crate::bases::Base::{self, *};
use oracle::contract::Rule;
use oracle::image::Image;

/// A mutation of the records: name, base image, the rule that it breaks, change.
pub type RecordMutation = (&'static str, Base, Rule, fn(&mut Image));

pub const RECORDS: &[RecordMutation] = &[
    (
        "skip target before the exit helper",
        Sessions,
        Rule::Order,
        |image| {
            image.skips[1].target -= 5;
        },
    ),
    (
        "skip target behind the next nop",
        Sessions,
        Rule::SkipRecords,
        |image| {
            image.skips[0].target += 5;
        },
    ),
    (
        "skip target beyond the next program",
        Sessions,
        Rule::SkipRecords,
        |image| {
            image.skips[0].target = image.skips[1].target;
        },
    ),
    (
        "skip target behind the metadata of the next session",
        Sessions,
        Rule::SessionCookie,
        |image| {
            image.skips[2].target = image.skips[3].nop;
        },
    ),
    (
        "skip target behind the function",
        ModifyReturn,
        Rule::Order,
        |image| {
            image.skips[1].target = image.skips[2].nop;
        },
    ),
    (
        "skip target one byte early",
        Sessions,
        Rule::Returns,
        |image| {
            image.skips[7].target -= 1;
        },
    ),
    (
        "nop of the next program",
        Sessions,
        Rule::SkipRecords,
        |image| {
            image.skips[0].nop = image.skips[1].nop;
        },
    ),
    ("nop one byte late", Sessions, Rule::SkipRecords, |image| {
        image.skips[1].nop += 1;
    }),
    ("no nop", Sessions, Rule::SkipRecords, |image| {
        let nop = image.skips[1].nop as usize;
        image.code[nop..nop + 5].fill(0x90);
    }),
    ("records swapped", Sessions, Rule::SkipRecords, |image| {
        image.skips.swap(0, 2);
    }),
    ("record missing", Sessions, Rule::SkipRecords, |image| {
        image.skips.pop();
    }),
    (
        "record of another program",
        Sessions,
        Rule::SkipRecords,
        |image| {
            image.skips[1].prog = image.skips[0].prog;
        },
    ),
    (
        "frame pointer before it is set",
        Sessions,
        Rule::FramePointer,
        |image| {
            image.fp[0] -= 3;
        },
    ),
    (
        "frame pointer after it is gone",
        Sessions,
        Rule::FramePointer,
        |image| {
            image.fp[1] += 1;
        },
    ),
    (
        "empty frame pointer range",
        Sessions,
        Rule::FramePointer,
        |image| {
            image.fp[1] = image.fp[0];
        },
    ),
    (
        "frame pointer too late",
        Sessions,
        Rule::FramePointer,
        |image| {
            image.fp[0] += 4;
        },
    ),
    (
        "frame pointer gone too early",
        Sessions,
        Rule::FramePointer,
        |image| {
            image.fp[1] -= 1;
        },
    ),
];
