// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::system::{delete_module, finit_module};

const NAME: &CStr = c"rust_fsession";

pub fn is_loaded() -> bool {
    Path::new("/sys/module/rust_fsession").exists()
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
