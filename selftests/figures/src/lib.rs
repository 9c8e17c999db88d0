// SPDX-License-Identifier: GPL-2.0

//! What `make bench` counts: the document that the command `bench` writes in the
//! guest, and what the host makes of it.

pub mod document;
pub mod limits;
#[cfg(feature = "plots")]
pub mod plots;
pub mod report;
pub mod table;
pub mod tables;

pub use document::Document;

/// `7.2` of `7.2.12+deb13-amd64`.
pub fn series(release: &str) -> String {
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}
