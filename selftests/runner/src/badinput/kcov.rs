// SPDX-License-Identifier: GPL-2.0

//! Which code of the module a call reaches, by KCOV (`Documentation/dev-tools/kcov.rst`),
//! where kernel and module are built for it (`make KCOV=1`).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const PATH: &str = "/sys/kernel/debug/kcov";
/// Words of the buffer: a count, then addresses.
const WORDS: usize = 64 * 1024;

const INIT_TRACE: libc::c_ulong = 0x8008_6301;
const ENABLE: libc::c_ulong = 0x6364;
const TRACE_PC: libc::c_ulong = 0;

/// The calls of one thread.
pub struct Kcov {
    _file: File,
    words: &'static [AtomicU64],
}

impl Kcov {
    /// Starts for the current thread. `None` where the kernel has none.
    pub fn start() -> io::Result<Option<Self>> {
        let file = match File::options().read(true).write(true).open(PATH) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        // SAFETY: The request takes a number.
        check(unsafe { libc::ioctl(file.as_raw_fd(), INIT_TRACE, WORDS) })?;
        // SAFETY: A new mapping.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                WORDS * 8,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The mapping stays until the process ends, and any bits are a number.
        let words = unsafe { std::slice::from_raw_parts(at.cast::<AtomicU64>(), WORDS) };
        // SAFETY: The request takes a number.
        check(unsafe { libc::ioctl(file.as_raw_fd(), ENABLE, TRACE_PC) })?;
        Ok(Some(Self { _file: file, words }))
    }

    /// Forgets what was reached.
    pub fn clear(&self) {
        self.words[0].store(0, Relaxed);
    }

    /// Addresses that were reached since.
    pub fn reached(&self) -> impl Iterator<Item = u64> + '_ {
        let count = self.words[0].load(Relaxed) as usize;
        self.words[1..]
            .iter()
            .take(count)
            .map(|pc| pc.load(Relaxed))
    }
}

fn check(ret: i32) -> io::Result<()> {
    match ret {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
