// SPDX-License-Identifier: GPL-2.0

//! The module `rust_fsession`: its device, its mode and its counters, with what to do where
//! they cannot be had.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{anyhow, Context, Error, Result};
use uapi::debugfs::{self, Mode, MODE, STATS};
use uapi::device::{self, Device};

const NOT_LOADED: &str = "the module is not loaded: insmod rust_fsession.ko";
const CAPABILITIES: &str = "CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN";

fn is_loaded() -> bool {
    Path::new("/sys/module/rust_fsession").exists()
}

/// Opens the device, or says what to do about it.
pub fn open() -> Result<Device> {
    Device::open().map_err(|err| device_error(&err, is_loaded()))
}

fn device_error(err: &io::Error, is_loaded: bool) -> Error {
    let advice = match err.raw_os_error() {
        _ if !is_loaded => return anyhow!(NOT_LOADED),
        Some(libc::EACCES) => "this needs root".into(),
        Some(libc::EPERM) => format!("this needs {CAPABILITIES}"),
        Some(libc::ENOENT) => "is devtmpfs mounted on /dev?".into(),
        _ => format!("{err}"),
    };
    anyhow!("cannot open {}: {advice}", device::PATH)
}

/// What an error of an attachment means, where the number alone does not say.
pub fn explain(result: io::Result<()>, what: &str) -> Result<()> {
    let Err(err) = result else {
        return Ok(());
    };
    let reason = match err.raw_os_error() {
        Some(libc::EINVAL) => "not a program with a trampoline, or of another target",
        Some(libc::EBUSY) => "attached already, or the function is traced by a direct call",
        Some(libc::E2BIG) => "too many programs or session cookies on the function",
        Some(libc::EOPNOTSUPP) => "the builder does not cover this function or program",
        _ => "see the kernel log",
    };
    Err(err).with_context(|| format!("cannot attach {what}: {reason}"))
}

/// The mode that the module is in.
pub fn mode() -> Result<Mode> {
    let name = fs::read_to_string(MODE).map_err(|err| debugfs_error(&err, MODE, is_loaded()))?;
    Mode::from_name(name.trim_end())
        .with_context(|| format!("{MODE} says {:?}, which is no mode", name.trim_end()))
}

/// Puts the module into `mode`.
pub fn set_mode(mode: Mode) -> Result<()> {
    let file = fs::OpenOptions::new()
        .write(true)
        .open(MODE)
        .map_err(|err| debugfs_error(&err, MODE, is_loaded()))?;
    io::Write::write_all(&mut &file, mode.name().as_bytes())
        .map_err(|err| set_mode_error(&err, mode))
}

fn set_mode_error(err: &io::Error, mode: Mode) -> Error {
    let reason = match err.raw_os_error() {
        Some(libc::EPERM) => format!("this needs {CAPABILITIES}"),
        Some(libc::EBUSY) => "another tracer redirects the kernel's builder, or \
             kernel.ftrace_enabled is 0: end the one, set the other to 1"
            .into(),
        _ => format!("{err}, see the kernel log"),
    };
    anyhow!("cannot set mode {}: {reason}", mode.name())
}

/// The module's counters, in its order.
pub fn stats() -> Result<Vec<(String, u64)>> {
    debugfs::stats().map_err(|err| debugfs_error(&err, STATS, is_loaded()))
}

fn debugfs_error(err: &io::Error, path: &str, is_loaded: bool) -> Error {
    let advice = match err.raw_os_error() {
        _ if !is_loaded => return anyhow!(NOT_LOADED),
        Some(libc::ENOENT) => {
            return anyhow!("debugfs is not mounted: mount -t debugfs debugfs /sys/kernel/debug")
        }
        Some(libc::EACCES) => "this needs root".into(),
        // (The mode is open to root, whatever the capabilities.)
        Some(libc::EPERM) => "the kernel is locked down, boot it without lockdown=".into(),
        _ => format!("{err}"),
    };
    anyhow!("cannot open {path}: {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: i32) -> io::Error {
        io::Error::from_raw_os_error(number)
    }

    #[test]
    fn an_error_says_what_to_do() {
        let says = |err: Error, part: &str| {
            let text = format!("{err:#}");
            assert!(text.contains(part), "{text}");
            assert!(!text.contains('\n'), "{text}");
        };
        says(device_error(&error(libc::ENOENT), false), "insmod");
        says(device_error(&error(libc::EPERM), true), "CAP_BPF");
        says(device_error(&error(libc::EACCES), true), "root");
        // Who is not root does not see whether debugfs has the file.
        says(debugfs_error(&error(libc::EACCES), MODE, false), "insmod");
        says(debugfs_error(&error(libc::EACCES), MODE, true), "root");
        says(debugfs_error(&error(libc::ENOENT), MODE, true), "mount -t");
        says(
            debugfs_error(&error(libc::EPERM), MODE, true),
            "locked down",
        );
        says(set_mode_error(&error(libc::EPERM), Mode::Off), "CAP_BPF");
        says(
            set_mode_error(&error(libc::EBUSY), Mode::Shadow),
            "ftrace_enabled",
        );
    }
}
