// SPDX-License-Identifier: GPL-2.0

//! Patterns of names, as the shell has them.

use std::str::FromStr;

use anyhow::{Context, Error, Result};
use globset::{Glob, GlobMatcher};

/// `vfs_*`, `{vfs,ksys}_read`, `sys_[a-f]*`
#[derive(Clone, Debug)]
pub struct Pattern(GlobMatcher);

impl Pattern {
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let glob = Glob::new(text).context("this is no pattern")?;
        Ok(Self(glob.compile_matcher()))
    }
}
