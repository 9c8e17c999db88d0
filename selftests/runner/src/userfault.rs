// SPDX-License-Identifier: GPL-2.0

//! A page of memory that is there only when it is told to be: who reads it
//! before sleeps, in the kernel as well.
//!
//! See `Documentation/admin-guide/mm/userfaultfd.rst`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::ioctl::{ioctl, opcode, Opcode, Updater};

const SIZE: usize = 4096;

/// `struct uffdio_api`.
#[repr(C)]
#[derive(Default)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
#[derive(Default)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// `struct uffdio_copy`.
#[repr(C)]
#[derive(Default)]
struct Copy {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    copy: i64,
}

const API: Opcode = opcode::read_write::<Api>(0xaa, 0x3f);
const REGISTER: Opcode = opcode::read_write::<Register>(0xaa, 0x00);
const COPY: Opcode = opcode::read_write::<Copy>(0xaa, 0x03);

const UFFD_API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;

/// The page. Its mapping stays until the process ends.
pub struct Page {
    uffd: OwnedFd,
    addr: u64,
}

impl Page {
    /// `Unsupported` where the kernel has no userfaultfd.
    pub fn new() -> io::Result<Self> {
        Self::with_access(libc::PROT_READ)
    }

    /// One that may be written to.
    pub fn writable() -> io::Result<Self> {
        Self::with_access(libc::PROT_READ | libc::PROT_WRITE)
    }

    fn with_access(access: i32) -> io::Result<Self> {
        // One that blocks cannot be polled.
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: The call has no pointers.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The kernel has just made this descriptor for us.
        let uffd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        // SAFETY: A new mapping, wherever the kernel has room for it.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                SIZE,
                access,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let addr = page as u64;
        let mut api = Api {
            api: UFFD_API,
            ..Api::default()
        };
        // SAFETY: The request takes an `Api`.
        unsafe { ioctl(&uffd, Updater::<API, Api>::new(&mut api)) }?;
        let mut register = Register {
            start: addr,
            len: SIZE as u64,
            mode: MODE_MISSING,
            ..Register::default()
        };
        // SAFETY: The request takes a `Register`; the range is a mapping that
        // nobody else knows of.
        unsafe { ioctl(&uffd, Updater::<REGISTER, Register>::new(&mut register)) }?;
        Ok(Self { uffd, addr })
    }

    pub fn addr(&self) -> u64 {
        self.addr
    }

    /// Waits until somebody sleeps for want of the page.
    pub fn wait_wanted(&self) -> io::Result<()> {
        match self.is_wanted(Duration::from_secs(30))? {
            false => Err(io::Error::other("nobody wanted the page in 30 s")),
            true => Ok(()),
        }
    }

    /// Whether somebody sleeps for want of the page within `time`.
    pub fn is_wanted(&self, time: Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(time).map_err(io::Error::other)?;
        let uffd = PollFd::new(&self.uffd, PollFlags::IN);
        Ok(poll(&mut [uffd], Some(&timeout))? != 0)
    }

    /// Makes it missing again.
    pub fn take_away(&self) -> io::Result<()> {
        // SAFETY: The page is only for the kernel, nothing in this program looks there.
        match unsafe { libc::madvise(self.addr as *mut _, SIZE, libc::MADV_DONTNEED) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Fills the page with `value` and wakes who waits for it.
    pub fn fill(&self, value: u64) -> io::Result<()> {
        let page = [value; SIZE / 8];
        let mut copy = Copy {
            dst: self.addr,
            src: page.as_ptr() as u64,
            len: SIZE as u64,
            ..Copy::default()
        };
        // SAFETY: The request takes a `Copy`, which names a page to read and the
        // one that is to be filled.
        unsafe { ioctl(&self.uffd, Updater::<COPY, Copy>::new(&mut copy)) }?;
        Ok(())
    }
}
