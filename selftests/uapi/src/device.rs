// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_fsession`: an open descriptor is one BPF trampoline.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

pub use crate::abi::{self, Info};

pub const PATH: &str = "/dev/rust_fsession";

/// A trampoline. Dropping the last descriptor of it detaches everything.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    pub fn open() -> io::Result<Self> {
        File::open(PATH).map(Self)
    }

    /// Attaches `prog`. `bpf_cookie` is what its `bpf_get_attach_cookie()`
    /// returns. Nobody else changes the trampoline meanwhile.
    pub fn add(&self, prog: BorrowedFd<'_>, bpf_cookie: u64) -> io::Result<()> {
        let request = abi::Add {
            prog_fd: fd_number(prog),
            flags: 0,
            bpf_cookie,
        };
        self.changed(1, || self.add_raw(&request))
    }

    /// The call alone: while others change the trampoline, or calls are made to fail.
    pub fn add_only(&self, prog: BorrowedFd<'_>, bpf_cookie: u64) -> io::Result<()> {
        self.add_raw(&abi::Add {
            prog_fd: fd_number(prog),
            flags: 0,
            bpf_cookie,
        })
    }

    /// Detaches `prog`. Nobody else changes the trampoline meanwhile.
    pub fn remove(&self, prog: BorrowedFd<'_>) -> io::Result<()> {
        let request = abi::Remove {
            prog_fd: fd_number(prog),
            flags: 0,
        };
        self.changed(-1, || self.remove_raw(&request))
    }

    /// The call alone: as `add_only()`, and where there may be no new image.
    pub fn remove_only(&self, prog: BorrowedFd<'_>) -> io::Result<()> {
        self.remove_raw(&abi::Remove {
            prog_fd: fd_number(prog),
            flags: 0,
        })
    }

    /// Fails unless the trampoline afterwards is what `change` says: it has so many programs
    /// more and a new image, or, after an error, it is as it was.
    fn changed(&self, progs: i32, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let before = self.info()?;
        let result = change();
        let after = self.info()?;
        let nr_progs = before.nr_progs().wrapping_add_signed(progs);
        let fits = match &result {
            Err(_) => after == before,
            Ok(()) => {
                let images = u32::from(nr_progs != 0);
                after.nr_progs() == nr_progs
                    && after.generation == before.generation.wrapping_add(images)
                    // (Those who may not see addresses see 0.)
                    && (after.image_addr == 0 || after.image_addr != before.image_addr)
            }
        };
        if !fits {
            let text = format!("{result:?}, but {before:?} has become {after:?}");
            return Err(io::Error::other(text));
        }
        result
    }

    pub fn add_raw(&self, request: &abi::Add) -> io::Result<()> {
        let arg = (request as *const abi::Add).cast_mut();
        // SAFETY: The kernel only reads what `arg` points to, and it points to
        // what this request takes.
        unsafe { self.ioctl(abi::IOC_ADD, arg.cast()) }
    }

    pub fn remove_raw(&self, request: &abi::Remove) -> io::Result<()> {
        let arg = (request as *const abi::Remove).cast_mut();
        // SAFETY: As in `add_raw()`.
        unsafe { self.ioctl(abi::IOC_REMOVE, arg.cast()) }
    }

    pub fn info(&self) -> io::Result<Info> {
        let mut info = Info::default();
        let arg: *mut Info = &mut info;
        // SAFETY: `arg` points to what this request fills in, and every bit
        // pattern is an `Info`.
        unsafe { self.ioctl(abi::IOC_INFO, arg.cast()) }?;
        Ok(info)
    }

    /// Has both builders build `case` and fills in what they say.
    pub fn compare(&self, case: &mut abi::Case) -> io::Result<()> {
        let arg: *mut abi::Case = case;
        // SAFETY: `arg` points to what this request takes and gives.
        unsafe { self.ioctl(abi::IOC_COMPARE, arg.cast()) }
    }

    /// The code bytes of the current image, none where nothing is attached.
    pub fn image(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match self.0.read_at(&mut chunk, bytes.len() as u64)? {
                0 => return Ok(bytes),
                n => bytes.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Any request with any argument.
    ///
    /// # Safety
    ///
    /// Where the kernel takes `arg` for an address, it must be good for what
    /// the request does there, or be no address that user space has.
    pub unsafe fn ioctl(&self, request: u32, arg: *mut libc::c_void) -> io::Result<()> {
        // SAFETY: The descriptor is open, the caller answers for `arg`.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), request.into(), arg) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// The same trampoline by another descriptor.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Device {
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl abi::Info {
    /// The traced function, empty before the first program.
    pub fn target(&self) -> &str {
        CStr::from_bytes_until_nul(&self.target)
            .ok()
            .and_then(|name| name.to_str().ok())
            .unwrap_or_default()
    }

    pub fn is_identical(&self) -> bool {
        self.reference == abi::REFERENCE_IDENTICAL
    }

    pub fn nr_progs(&self) -> u32 {
        self.nr_fentry + self.nr_fexit + self.nr_fmod_ret + self.nr_fsession
    }

    /// The image's flags as the kernel's sources write them.
    pub fn flag_names(&self) -> String {
        flag_names(self.flags)
    }
}

/// `BPF_TRAMP_F_*` of the kernel.
pub mod flag {
    pub const RESTORE_REGS: u32 = 1 << 0;
    pub const CALL_ORIG: u32 = 1 << 1;
    pub const SKIP_FRAME: u32 = 1 << 2;
    pub const IP_ARG: u32 = 1 << 3;
    pub const RET_FENTRY_RET: u32 = 1 << 4;
    pub const ORIG_STACK: u32 = 1 << 5;
    pub const SHARE_IPMODIFY: u32 = 1 << 6;
    pub const TAIL_CALL_CTX: u32 = 1 << 7;
    pub const INDIRECT: u32 = 1 << 8;
}

/// Their names, in the order of their bits.
const FLAGS: [&str; 9] = [
    "RESTORE_REGS",
    "CALL_ORIG",
    "SKIP_FRAME",
    "IP_ARG",
    "RET_FENTRY_RET",
    "ORIG_STACK",
    "SHARE_IPMODIFY",
    "TAIL_CALL_CTX",
    "INDIRECT",
];

/// The names of `BPF_TRAMP_F_*` bits.
pub fn flag_names(flags: u32) -> String {
    let mut names: Vec<String> = (0..32)
        .filter(|bit| flags & (1 << bit) != 0)
        .map(|bit| match FLAGS.get(bit) {
            Some(name) => (*name).to_owned(),
            None => format!("{:#x}", 1u32 << bit),
        })
        .collect();
    if names.is_empty() {
        names.push("none".to_owned());
    }
    names.join(" | ")
}

fn fd_number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_by_bit() {
        assert_eq!(flag_names(0), "none");
        assert_eq!(flag_names(0x2), "CALL_ORIG");
        assert_eq!(flag_names(0x8a), "CALL_ORIG | IP_ARG | TAIL_CALL_CTX");
        assert_eq!(flag_names(0x200), "0x200");
    }
}
