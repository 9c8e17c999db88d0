// SPDX-License-Identifier: GPL-2.0

//! The kernel's own count of executable memory, read from `/proc/kcore`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

use crate::kallsyms;

/// Bytes that are charged to the limit of the JIT (`bpf_jit_current`). `None` where the
/// kernel does not show its memory.
pub fn charged() -> Result<Option<u64>> {
    let Ok(kcore) = File::open("/proc/kcore") else {
        return Ok(None);
    };
    let addr = kallsyms::address_of("bpf_jit_current")?;
    let word = |at: u64| -> Result<u64> {
        let mut bytes = [0; 8];
        kcore.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_ne_bytes(bytes))
    };
    // The header of an ELF file of 64 bits, then its segments.
    let (segments, counts) = (word(32)?, word(54)?);
    let (size, number) = (counts & 0xffff, (counts >> 16) & 0xffff);
    for nr in 0..number {
        let at = segments + nr * size;
        let (offset, start, len) = (word(at + 8)?, word(at + 16)?, word(at + 32)?);
        if (start..start.saturating_add(len)).contains(&addr) {
            let value = word(offset + (addr - start));
            return value.context("cannot read bpf_jit_current").map(Some);
        }
    }
    Ok(None)
}
