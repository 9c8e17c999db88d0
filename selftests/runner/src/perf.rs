// SPDX-License-Identifier: GPL-2.0

//! Breakpoints on kernel code, which sample the stack of who comes by, or wake who waits
//! for that. The CPU takes them as exceptions that come at any instruction, as an NMI does.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{fence, Ordering};
use std::time::Duration;

use libbpf_sys::{perf_event_attr, PERF_TYPE_BREAKPOINT};
use rustix::event::{poll, PollFd, PollFlags, Timespec};

/// Pages of a buffer: its head, and room for some samples.
const PAGES: usize = 1 + 8;
const PAGE: usize = 4096;

/// How many breakpoints a CPU has.
pub const BREAKPOINTS: usize = 4;

const HW_BREAKPOINT_X: u32 = 4;
const SAMPLE_CALLCHAIN: u64 = 1 << 5;
const RECORD_SAMPLE: u32 = 9;
/// `PERF_CONTEXT_*` and what is not an address of the kernel.
const CONTEXTS: u64 = -4096i64 as u64;
/// Where `struct perf_event_mmap_page` says how much there is, and is told how much was read.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// A breakpoint, until dropped.
pub struct Breakpoint {
    // Unmapped before the descriptor is closed.
    buffer: *mut u8,
    event: OwnedFd,
}

impl Breakpoint {
    /// For the calling thread.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if all are taken.
    pub fn new(addr: u64) -> io::Result<Self> {
        Self::open(addr, 0, -1)
    }

    /// For everybody who comes by on `cpu`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if all are taken, `ENODEV` if the CPU is away.
    pub fn on_cpu(addr: u64, cpu: usize) -> io::Result<Self> {
        Self::open(addr, -1, cpu as i32)
    }

    fn open(addr: u64, pid: i32, cpu: i32) -> io::Result<Self> {
        let mut attr = perf_event_attr {
            type_: PERF_TYPE_BREAKPOINT,
            size: size_of::<perf_event_attr>() as u32,
            sample_type: SAMPLE_CALLCHAIN,
            bp_type: HW_BREAKPOINT_X,
            ..Default::default()
        };
        attr.__bindgen_anon_1.sample_period = 1;
        attr.__bindgen_anon_2.wakeup_events = 1;
        attr.__bindgen_anon_3.bp_addr = addr;
        attr.__bindgen_anon_4.bp_len = size_of::<libc::c_long>() as u64;
        attr.set_exclude_user(1);
        attr.set_exclude_callchain_user(1);
        let attr: *const _ = &attr;
        // SAFETY: The attributes outlive the call. No group.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attr,
                pid,
                cpu,
                -1,
                libbpf_sys::PERF_FLAG_FD_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The kernel has just made this descriptor for us.
        let event = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        // SAFETY: A new mapping, of a size that the kernel takes.
        let buffer = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGES * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        if buffer == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            buffer: buffer.cast(),
            event,
        })
    }

    /// Whether somebody comes by within `time`.
    pub fn wait(&self, time: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.event, PollFlags::IN)];
        let time = Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: time.subsec_nanos().into(),
        };
        Ok(poll(&mut fds, Some(&time))? > 0)
    }

    /// Makes room for more samples.
    pub fn forget(&self) {
        let head = self.word(DATA_HEAD);
        // SAFETY: In the mapping; the kernel reads it, and nobody else writes it.
        unsafe {
            self.buffer
                .add(DATA_TAIL)
                .cast::<u64>()
                .write_volatile(head)
        };
    }

    fn word(&self, at: usize) -> u64 {
        assert!(at + 8 <= PAGES * PAGE, "the buffer is full");
        // SAFETY: In the mapping, and aligned as all records are.
        unsafe { self.buffer.add(at).cast::<u64>().read_volatile() }
    }

    /// Addresses of each sample's stack, the innermost first.
    pub fn stacks(&self) -> Vec<Vec<u64>> {
        let head = self.word(DATA_HEAD) as usize;
        fence(Ordering::Acquire);
        let (mut stacks, mut at) = (Vec::new(), 0);
        while at < head {
            let record = PAGE + at;
            let header = self.word(record);
            if header as u32 == RECORD_SAMPLE {
                let len = self.word(record + 8) as usize;
                let words = (0..len).map(|nr| self.word(record + 16 + 8 * nr));
                stacks.push(words.filter(|word| *word < CONTEXTS).collect());
            }
            at += (header >> 48) as usize;
        }
        stacks
    }
}

impl Drop for Breakpoint {
    fn drop(&mut self) {
        // SAFETY: Nobody has a reference into the mapping.
        unsafe { libc::munmap(self.buffer.cast(), PAGES * PAGE) };
    }
}
