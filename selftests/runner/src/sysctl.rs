// SPDX-License-Identifier: GPL-2.0

//! Settings in `/proc/sys`.

use std::fs;
use std::io;

/// A setting that goes back to its old value on drop.
#[must_use]
#[derive(Debug)]
pub struct Sysctl {
    path: String,
    before: String,
}

impl Sysctl {
    /// Sets `name`, a path below `/proc/sys`.
    pub fn set(name: &str, value: &str) -> io::Result<Self> {
        let sysctl = Self::keep(name)?;
        sysctl.write(value)?;
        Ok(sysctl)
    }

    /// Leaves the setting as it is for now.
    pub fn keep(name: &str) -> io::Result<Self> {
        let path = format!("/proc/sys/{name}");
        let before = fs::read_to_string(&path)?;
        Ok(Self { path, before })
    }

    pub fn write(&self, value: &str) -> io::Result<()> {
        fs::write(&self.path, value)
    }

    pub fn read(&self) -> io::Result<String> {
        Ok(fs::read_to_string(&self.path)?.trim().to_owned())
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|now| now == self.before) {
            return;
        }
        self.write(&self.before)
            .expect("what could be set can be set back");
    }
}
