// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading the module.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::system::{delete_module, finit_module};

const NAME: &std::ffi::CStr = c"rust_fsession";

pub fn is_loaded() -> bool {
    Path::new("/sys/module/rust_fsession").exists()
}

pub fn load(path: &Path) -> io::Result<()> {
    Ok(finit_module(File::open(path)?, c"", 0)?)
}

/// `EWOULDBLOCK` where the module is in use.
pub fn unload() -> io::Result<()> {
    Ok(delete_module(NAME, libc::O_NONBLOCK)?)
}
