// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use rustix::system::{delete_module, finit_module};

const NAME: &CStr = c"rust_fsession";

pub fn is_loaded() -> bool {
    Path::new("/sys/module/rust_fsession").exists()
}

/// How often it is in use.
pub fn references() -> io::Result<u32> {
    let text = fs::read_to_string("/sys/module/rust_fsession/refcnt")?;
    text.trim()
        .parse()
        .map_err(|_| ErrorKind::InvalidData.into())
}

pub fn load(path: &Path) -> io::Result<()> {
    Ok(finit_module(File::open(path)?, c"", 0)?)
}

/// `EWOULDBLOCK` where the module is in use.
pub fn unload() -> io::Result<()> {
    unload_other(NAME)
}

/// The same for a module of the tests.
pub fn unload_other(name: &CStr) -> io::Result<()> {
    Ok(delete_module(name, libc::O_NONBLOCK)?)
}
