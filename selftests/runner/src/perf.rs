// SPDX-License-Identifier: GPL-2.0

//! Breakpoints on kernel code, which sample the stack of who comes by. The CPU
//! takes them as exceptions that come at any instruction, as an NMI does.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{fence, Ordering};

use libbpf_sys::{perf_event_attr, PERF_TYPE_BREAKPOINT};

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
/// Where `struct perf_event_mmap_page` says how much there is.
const DATA_HEAD: usize = 1024;

/// A breakpoint for the calling thread, until dropped.
pub struct Breakpoint {
    // Unmapped before the descriptor is closed.
    buffer: *mut u8,
    _event: OwnedFd,
}

impl Breakpoint {
    /// # Errors
    ///
    /// `ENOSPC` if all are taken.
    pub fn new(addr: u64) -> io::Result<Self> {
        let mut attr = perf_event_attr {
            type_: PERF_TYPE_BREAKPOINT,
            size: size_of::<perf_event_attr>() as u32,
            sample_type: SAMPLE_CALLCHAIN,
            bp_type: HW_BREAKPOINT_X,
            ..Default::default()
        };
        attr.__bindgen_anon_1.sample_period = 1;
        attr.__bindgen_anon_3.bp_addr = addr;
        attr.__bindgen_anon_4.bp_len = size_of::<libc::c_long>() as u64;
        attr.set_exclude_user(1);
        attr.set_exclude_callchain_user(1);
        let attr: *const _ = &attr;
        // SAFETY: The attributes outlive the call. This thread, any CPU, no group.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attr,
                0,
                -1,
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
            _event: event,
        })
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
