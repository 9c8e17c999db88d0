// SPDX-License-Identifier: GPL-2.0

//! What all workers share, those in other processes as well.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use rustix::fs::{ftruncate, memfd_create, MemfdFlags};

use super::call::Kind;
use super::slots::{self, Slots, COUNTERS};

/// Above every errno.
const ERRNOS: usize = 134;
const KINDS: usize = Kind::ALL.len();

/// All zeroes is how it begins.
#[repr(C)]
pub struct Shared {
    calls: AtomicU64,
    stop: AtomicBool,
    /// How many answers were wrong.
    pub wrong: AtomicU32,
    progs: AtomicU32,
    others: AtomicU32,
    /// How often each kind of call gave which errno.
    answers: [[AtomicU64; ERRNOS]; KINDS],
}

impl Shared {
    /// New ones, which processes that are started inherit.
    pub fn new(slots: Slots) -> io::Result<&'static Self> {
        let file = memfd_create("counters", MemfdFlags::empty())?;
        ftruncate(&file, size_of::<Self>() as u64)?;
        slots::copy(file.as_raw_fd(), COUNTERS)?;
        let shared = Self::inherited()?;
        shared.progs.store(slots.progs, Relaxed);
        shared.others.store(slots.others, Relaxed);
        Ok(shared)
    }

    /// Those of who started this process.
    pub fn inherited() -> io::Result<&'static Self> {
        // SAFETY: A new mapping.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                COUNTERS as RawFd,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The mapping is as large and stays until the process ends; all that is in
        // there is atomic, and any bits that are written there are good for it.
        Ok(unsafe { &*at.cast::<Self>() })
    }

    pub fn slots(&self) -> Slots {
        Slots {
            progs: self.progs.load(Relaxed),
            others: self.others.load(Relaxed),
        }
    }

    pub fn count(&self, kind: Kind, errno: i32) {
        if kind.counts() {
            self.calls.fetch_add(1, Relaxed);
        }
        let errno = usize::try_from(errno).unwrap_or(0).min(ERRNOS - 1);
        self.answers[kind as usize][errno].fetch_add(1, Relaxed);
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Errnos and how often each came.
    pub fn answers(&self, kind: Kind) -> BTreeMap<i32, u64> {
        let counts = self.answers[kind as usize].iter().zip(0..);
        let counts = counts.map(|(count, errno)| (errno, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}
