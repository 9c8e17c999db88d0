// SPDX-License-Identifier: GPL-2.0

//! Errors of the builder, sorted by what the C builder does in their place.

use crate::builder;
use kernel::{
    alloc::AllocError,
    prelude::*, //
};

/// Why a plan gets no image where the C builder does not give the same error.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    /// The image does not fit a page (`E2BIG`). C writes past its page.
    TooBig,
    /// The Rust builder does not cover the plan. C warns, or builds something.
    NotCovered(Error),
    /// There is no memory to build with (`ENOMEM`).
    NoMemory,
}

/// Why there is no image.
pub(super) enum Failure {
    /// The C builder finds this error as well, no more than a page into the image.
    Shared(Error),
    /// It does not.
    Refused(Refusal),
}

impl From<builder::Error> for Failure {
    fn from(error: builder::Error) -> Self {
        use builder::Error::{
            Invalid,
            OutOfRange,
            TooBig,
            TooManyRegs,
            Uncovered, //
        };
        match error {
            OutOfRange | TooManyRegs => Self::Shared(error.into()),
            TooBig => Self::Refused(Refusal::TooBig),
            Invalid | Uncovered => Self::Refused(Refusal::NotCovered(error.into())),
        }
    }
}

impl From<AllocError> for Failure {
    fn from(_: AllocError) -> Self {
        Self::Refused(Refusal::NoMemory)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooBig => E2BIG,
            Refusal::NotCovered(e) => e,
            Refusal::NoMemory => ENOMEM,
        }
    }
}

impl From<builder::Error> for Error {
    fn from(error: builder::Error) -> Self {
        Error::from_errno(error.to_errno())
    }
}
