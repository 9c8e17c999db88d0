// SPDX-License-Identifier: GPL-2.0

//! Trying something without root's rights.

use std::thread;

use anyhow::{Context, Result};
use rustix::process::{Gid, Uid};
pub use rustix::thread::CapabilitySet;
use rustix::thread::{
    set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid, CapabilitySets,
};

const NOBODY: u32 = 65534;

/// Runs `f` as nobody, with the capabilities `caps` only.
///
/// For the kernel, user ids and capabilities belong to a thread. This takes one
/// of its own, the rest of the process stays what it is.
pub fn as_nobody<T: Send>(caps: CapabilitySet, f: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                become_nobody(caps).context("cannot drop rights, is this root?")?;
                Ok(f())
            })
            .join()
            .expect("nothing in the thread panics on purpose")
    })
}

fn become_nobody(caps: CapabilitySet) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));

    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: caps,
            permitted: caps,
            inheritable: CapabilitySet::empty(),
        },
    )
}
