// SPDX-License-Identifier: GPL-2.0

//! `/proc/kcore`: the kernel's memory as an ELF core file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use anyhow::{anyhow, bail, ensure, Context, Result};

const PATH: &str = "/proc/kcore";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// `Elf64_Ehdr`, and an entry of the program header table.
const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// `PT_LOAD`
const LOAD: u32 = 1;
/// So often a place is read until it holds still.
const TRIES: u32 = 10;

pub struct Kcore {
    file: File,
    segments: Vec<Segment>,
}

/// Memory that is in the file.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    memory: Range<u64>,
    /// Of its first byte in the file.
    offset: u64,
}

impl Kcore {
    /// # Errors
    ///
    /// The caller may not read the kernel's memory, nobody may, or there is no such file.
    pub fn open() -> Result<Self> {
        let file = File::open(PATH).map_err(refused)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).map_err(refused)?;
        let (offset, count) = segment_table(&header)?;
        let mut table = vec![0; SEGMENT * count];
        file.read_exact_at(&mut table, offset).map_err(refused)?;
        Ok(Self {
            file,
            segments: segments(&table),
        })
    }

    /// `len` bytes of memory from `addr` on, at a time when nobody was changing them.
    ///
    /// # Errors
    ///
    /// The file does not have that memory, or it changes all the time.
    pub fn read(&self, addr: u64, len: usize) -> Result<Vec<u8>> {
        let offset = offset(&self.segments, addr, len as u64)
            .with_context(|| format!("{PATH} does not have the memory at {addr:#x}"))?;
        let read = || -> Result<Vec<u8>> {
            let mut bytes = vec![0; len];
            self.file
                .read_exact_at(&mut bytes, offset)
                .with_context(|| format!("cannot read {addr:#x} in {PATH}"))?;
            Ok(bytes)
        };
        let mut before = read()?;
        for _ in 0..TRIES {
            let now = read()?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        bail!("the memory at {addr:#x} changes all the time");
    }
}

fn refused(err: io::Error) -> anyhow::Error {
    let hint = match err.kind() {
        io::ErrorKind::NotFound => "this kernel was built without CONFIG_PROC_KCORE",
        io::ErrorKind::PermissionDenied if is_locked_down() => {
            "this kernel is locked down (see kernel_lockdown(7)), nobody may read its memory"
        }
        io::ErrorKind::PermissionDenied => "run this as root (it takes CAP_SYS_RAWIO)",
        _ => "cannot read it",
    };
    anyhow!(err).context(format!("{PATH}: {hint}"))
}

/// Whether the kernel keeps its memory secret, `[confidentiality]` in a list of what it can do.
fn is_locked_down() -> bool {
    std::fs::read_to_string(LOCKDOWN).is_ok_and(|modes| modes.contains("[confidentiality]"))
}

/// Where the program headers are, and how many.
fn segment_table(header: &[u8; HEADER]) -> Result<(u64, usize)> {
    ensure!(
        header.starts_with(b"\x7fELF\x02\x01"),
        "{PATH} is no ELF file of 64 bits"
    );
    let size = half(header, 54).unwrap_or_default();
    ensure!(
        usize::from(size) == SEGMENT,
        "{PATH} has program headers of {size} bytes"
    );
    let offset = word(header, 32).unwrap_or_default();
    let count = half(header, 56).unwrap_or_default();
    Ok((offset, count.into()))
}

fn segments(table: &[u8]) -> Vec<Segment> {
    table
        .chunks_exact(SEGMENT)
        .filter(|entry| entry.starts_with(&LOAD.to_le_bytes()))
        .filter_map(|entry| {
            let start = word(entry, 16)?;
            Some(Segment {
                memory: start..start.checked_add(word(entry, 40)?)?,
                offset: word(entry, 8)?,
            })
        })
        .collect()
}

fn offset(segments: &[Segment], addr: u64, len: u64) -> Option<u64> {
    let end = addr.checked_add(len)?;
    let segment = segments
        .iter()
        .find(|segment| segment.memory.contains(&addr) && end <= segment.memory.end)?;
    segment.offset.checked_add(addr - segment.memory.start)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(size: u16, count: u16) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[32..40].copy_from_slice(&64_u64.to_le_bytes());
        header[54..56].copy_from_slice(&size.to_le_bytes());
        header[56..58].copy_from_slice(&count.to_le_bytes());
        header
    }

    fn entry(kind: u32, offset: u64, start: u64, len: u64) -> Vec<u8> {
        let mut entry = vec![0; SEGMENT];
        entry[..4].copy_from_slice(&kind.to_le_bytes());
        entry[8..16].copy_from_slice(&offset.to_le_bytes());
        entry[16..24].copy_from_slice(&start.to_le_bytes());
        entry[40..48].copy_from_slice(&len.to_le_bytes());
        entry
    }

    #[test]
    fn the_header_says_where_segments_are() {
        assert_eq!(segment_table(&header(56, 7)).unwrap(), (64, 7));
        assert!(segment_table(&header(32, 7)).is_err());
        assert!(segment_table(&[0; HEADER]).is_err());
    }

    #[test]
    fn memory_is_found_in_segments() {
        let table = [
            entry(4, 0x1000, 0, 0x100),
            entry(LOAD, 0x2000, 0xffff_ffff_8000_0000, 0x1000),
            entry(LOAD, 0x8000, 0xffff_ffff_ffff_f000, 0x1000),
        ]
        .concat();
        let segments = segments(&table);
        // The last one would end beyond the last address.
        assert_eq!(segments.len(), 1);
        let offset = |addr, len| offset(&segments, addr, len);
        assert_eq!(offset(0xffff_ffff_8000_0010, 16), Some(0x2010));
        assert_eq!(offset(0xffff_ffff_8000_0ff0, 16), Some(0x2ff0));
        assert_eq!(offset(0xffff_ffff_8000_0ff0, 17), None);
        assert_eq!(offset(0x10, 1), None);
        assert_eq!(offset(u64::MAX, 2), None);
    }
}
