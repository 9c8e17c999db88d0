// SPDX-License-Identifier: GPL-2.0

//! Differences, kept whole for reading.

use crate::image::Difference;
use kernel::{
    fmt,
    prelude::*, //
};

/// One difference: what was to be built, and both images.
pub(crate) struct Mismatch {
    /// Address of the function.
    pub(super) func: u64,
    /// `BPF_TRAMP_F_*`
    pub(super) flags: u32,
    pub(super) arg_sizes: KVec<u8>,
    /// How many entry, fmod_ret and exit programs.
    pub(super) programs: [usize; 3],
    pub(super) difference: Difference,
    pub(super) rust: KVec<u8>,
    pub(super) c: KVec<u8>,
}

/// The first differences.
#[derive(Default)]
pub(crate) struct Mismatches(KVec<Mismatch>);

impl Mismatches {
    /// Most differences that are kept.
    pub(crate) const MAX: usize = 16;

    /// Keeps a difference, if there is room.
    pub(super) fn keep(&mut self, mismatch: Mismatch) {
        if self.0.len() < Self::MAX {
            // Without memory it is counted only.
            let _ = self.0.push(mismatch, GFP_KERNEL);
        }
    }

    /// The difference of this number.
    pub(crate) fn get(&self, number: usize) -> Option<&Mismatch> {
        self.0.get(number)
    }
}

impl Mismatch {
    /// Writes what is known. Without `addresses`, that of the function is 0, and the code, which
    /// holds some, is left out.
    pub(crate) fn show(&self, addresses: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [fentry, fmod_ret, fexit] = self.programs;
        f.write_fmt(fmt!("difference {}\n", self.difference))?;
        writeln!(f, "func {:#x}", if addresses { self.func } else { 0 })?;
        writeln!(f, "flags {:#x}", self.flags)?;
        writeln!(f, "arg_sizes {:?}", &self.arg_sizes[..])?;
        writeln!(
            f,
            "programs fentry {fentry} fmod_ret {fmod_ret} fexit {fexit}"
        )?;
        if addresses {
            hex(f, "rust", &self.rust)?;
            hex(f, "c", &self.c)?;
        }
        Ok(())
    }
}

fn hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name} ")?;
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    writeln!(f)
}
