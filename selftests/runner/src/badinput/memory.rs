// SPDX-License-Identifier: GPL-2.0

//! Addresses of all kinds: of memory that is there, that is not, that ends in the
//! middle, and that comes and goes during the call.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::Rng;
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};

use crate::userfault;

const PAGE: usize = 4096;
/// Bytes that an argument may take at a good place.
pub const ROOM: usize = 64 * 1024;
/// How many arguments one call has that are memory.
const ARGUMENTS: usize = 4;

/// The kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Good,
    ReadOnly,
    /// So many bytes, then nothing.
    Ends(u16),
    /// No access.
    Forbidden,
    Null,
    Kernel,
    NonCanonical,
    /// Mapped, unmapped and changed by another thread.
    Moving,
    /// Given by another thread when somebody wants it.
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Yes,
    No,
    Perhaps,
}

impl Place {
    pub fn random(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..1000) {
            0..=699 => Self::Good,
            700..=749 => Self::ReadOnly,
            750..=829 => Self::Ends(rng.random_range(0..=256)),
            830..=859 => Self::Forbidden,
            860..=889 => Self::Null,
            890..=919 => Self::Kernel,
            920..=949 => Self::NonCanonical,
            950..=997 => Self::Moving,
            // It takes a while to come.
            _ => Self::Late,
        }
    }

    pub fn read(self, len: usize) -> Access {
        match self {
            Self::Good | Self::ReadOnly if len <= ROOM => Access::Yes,
            Self::Ends(room) if len <= usize::from(room) => Access::Yes,
            Self::Good | Self::ReadOnly | Self::Moving | Self::Late => Access::Perhaps,
            _ if len == 0 => Access::Perhaps,
            _ => Access::No,
        }
    }

    pub fn write(self, len: usize) -> Access {
        match self {
            Self::ReadOnly if len > 0 => Access::No,
            _ => self.read(len),
        }
    }

    /// Whether what is there is what the caller put there.
    pub fn is_ours(self) -> bool {
        !matches!(self, Self::Moving | Self::Late)
    }
}

/// What the moving page and the late one hold: a good request to add or to remove, of
/// which the kernel reads as a case that images are wanted in the moving page.
type Content = [u64; 4];

fn content(prog: u32) -> Content {
    [prog.into(), MOVING, 0, 0]
}

/// The kernel puts nothing there by itself: it goes down from the top.
const MOVING: u64 = 0x1000_0000_0000;

/// The memory of one thread.
pub struct Memory {
    writable: *mut u8,
    read_only: *const u8,
    late: u64,
}

impl Memory {
    /// `late` is the address of the page that is late.
    pub fn new(late: u64) -> io::Result<Self> {
        let file = memfd_create("memory", MemfdFlags::CLOEXEC)?;
        let len = ARGUMENTS * (ROOM + PAGE);
        ftruncate(&file, len as u64)?;
        let file = File::from(file);
        let writable = map(None, len, libc::PROT_READ | libc::PROT_WRITE, Some(&file))?;
        let read_only = map(None, len, libc::PROT_READ, Some(&file))?;
        for argument in 0..ARGUMENTS {
            // SAFETY: Inside of the mapping; nothing but the kernel looks there.
            let guard = unsafe { writable.add(argument * (ROOM + PAGE) + ROOM) };
            protect(guard, libc::PROT_NONE)?;
        }
        Ok(Self {
            writable,
            read_only,
            late,
        })
    }

    /// Puts `bytes` at a place of this kind, as far as it goes, and gives its address.
    pub fn put(&self, argument: usize, place: Place, bytes: &[u8]) -> u64 {
        let begin = argument % ARGUMENTS * (ROOM + PAGE);
        let len = bytes.len().min(ROOM);
        let (at, len) = match place {
            Place::Ends(room) => {
                let room = usize::from(room).min(ROOM);
                (begin + ROOM - room, len.min(room))
            }
            _ => (begin, len),
        };
        if matches!(place, Place::Good | Place::ReadOnly | Place::Ends(_)) {
            // SAFETY: Inside of the writable part of the mapping, which this thread alone has.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.writable.add(at), len) };
        }
        match place {
            Place::Good | Place::Ends(_) => self.writable as u64 + at as u64,
            Place::ReadOnly => self.read_only as u64 + at as u64,
            Place::Forbidden => self.writable as u64 + (begin + ROOM) as u64,
            Place::Null => 0,
            Place::Kernel => 0xffff_ffff_8100_0000,
            Place::NonCanonical => 0x8000_0000_0000_0000,
            Place::Moving => MOVING,
            Place::Late => self.late,
        }
    }

    /// What the kernel left at a good place.
    pub fn get(&self, argument: usize, bytes: &mut [u8]) {
        let begin = argument % ARGUMENTS * (ROOM + PAGE);
        let len = bytes.len().min(ROOM);
        // SAFETY: As in `put()`.
        unsafe { ptr::copy_nonoverlapping(self.writable.add(begin), bytes.as_mut_ptr(), len) };
    }
}

fn map(at: Option<u64>, len: usize, protection: i32, file: Option<&File>) -> io::Result<*mut u8> {
    let kind = match file {
        Some(_) => libc::MAP_SHARED,
        None => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    };
    let fixed = if at.is_some() { libc::MAP_FIXED } else { 0 };
    let fd = file.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: A new mapping, or one in the place of the moving page, where Rust has nothing.
    let got = unsafe {
        libc::mmap(
            at.unwrap_or(0) as *mut _,
            len,
            protection,
            kind | fixed,
            fd,
            0,
        )
    };
    match got {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        got => Ok(got.cast()),
    }
}

fn protect(at: *mut u8, protection: i32) -> io::Result<()> {
    // SAFETY: A page of a mapping that is only accessed as it is protected.
    match unsafe { libc::mprotect(at.cast(), PAGE, protection) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Maps, unmaps and changes the moving page until `stop`.
pub fn juggle(stop: &AtomicBool, progs: &[u32], rng: &mut StdRng) -> io::Result<()> {
    let page = MOVING as *mut u8;
    while !stop.load(Relaxed) {
        let prog = progs.choose(rng).copied().unwrap_or(0);
        map(Some(MOVING), PAGE, libc::PROT_READ | libc::PROT_WRITE, None)?;
        for _ in 0..rng.random_range(1..4) {
            // SAFETY: This thread has just mapped the page, and nobody else unmaps it.
            unsafe { page.cast::<Content>().write_volatile(content(prog)) };
            rest(rng);
        }
        match rng.random_range(0..4) {
            0 => protect(page, libc::PROT_READ)?,
            1 => protect(page, libc::PROT_NONE)?,
            // SAFETY: As above.
            _ => drop(unsafe { libc::munmap(page.cast(), PAGE) }),
        }
        rest(rng);
    }
    Ok(())
}

/// Gives the late page when it is wanted, and takes it away again, until `stop`.
pub fn deliver(stop: &AtomicBool, page: &userfault::Page, prog: u32) -> io::Result<()> {
    while !stop.load(Relaxed) {
        if page.is_wanted(Duration::from_millis(20))? {
            // Whoever wanted it sleeps a little.
            std::thread::sleep(Duration::from_millis(1));
            page.fill(u64::from(prog))?;
            page.take_away()?;
        }
    }
    Ok(())
}

fn rest(rng: &mut StdRng) {
    std::thread::sleep(Duration::from_micros(rng.random_range(50..2000)));
}
