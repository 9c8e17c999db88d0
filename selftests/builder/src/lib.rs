// SPDX-License-Identifier: GPL-2.0

//! The trampoline image builder and the session room of the module, as a library for the host.

#[path = "../../../src"]
mod rooms {
    pub mod builder;
    pub mod session;
}

pub use rooms::builder::*;
pub use rooms::{builder, session};

#[cfg(test)]
mod tests;
