// SPDX-License-Identifier: GPL-2.0

//! The rooms of the module that need no kernel, built for the host to be tested there.

#[path = "../../../src"]
mod rooms {
    pub mod builder;
    pub mod session;
}

pub use rooms::builder::*;
pub use rooms::{builder, session};

#[cfg(test)]
mod kunit;
#[cfg(test)]
mod tests;
