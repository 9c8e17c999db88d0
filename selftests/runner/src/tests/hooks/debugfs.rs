// SPDX-License-Identifier: GPL-2.0

//! A file in debugfs that is open keeps the module.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::super::module::reload;
use super::expect_works;
use crate::harness::{skip, Env};
use crate::hooks::{self, Mode};
use crate::kmod;

tests! {
    hooks_debugfs_read: "a file open for reading keeps the module",
    hooks_debugfs_write: "mode open for writing keeps the module",
}

fn expect_kept(file: &str) -> Result<()> {
    check_errno!(kmod::unload(), EWOULDBLOCK, "unloading with {file} open");
    Ok(())
}

fn need_file(env: &Env) -> Result<()> {
    match env.module.exists() {
        true => Ok(()),
        false => Err(skip(format!("no {}, see --module", env.module.display()))),
    }
}

fn hooks_debugfs_read(env: &Env) -> Result<()> {
    need_file(env)?;
    let _hooked = env.hook(Mode::Shadow)?;
    let mut paths = hooks::mismatch_paths()?;
    paths.extend([hooks::MODE, hooks::STATS].map(Into::into));
    for path in paths {
        let name = path.display().to_string();
        let mut file = File::open(&path).with_context(|| format!("cannot open {name}"))?;
        expect_kept(&name)?;
        // Read half of it before, half of it after.
        let mut byte = [0];
        let before = file.read(&mut byte)?;
        expect_kept(&name)?;
        let mut text = String::from_utf8_lossy(&byte[..before]).into_owned();
        file.read_to_string(&mut text)?;
        drop(file);
        // What mismatches/ has in it is another test's business.
        if path == Path::new(hooks::MODE) {
            check_eq!(text, "shadow\n", "what {name} says");
        }
    }
    reload(env)
}

fn hooks_debugfs_write(env: &Env) -> Result<()> {
    need_file(env)?;
    let hooked = env.hook(Mode::Shadow)?;
    let mut file = hooks::open()?;
    expect_kept("mode")?;
    file.write_all(b"takeover")?;
    check_eq!(hooks::mode()?, "takeover\n", "mode");
    expect_kept("mode")?;
    drop(file);
    reload(env)?;
    expect_works(env, &hooked, Mode::Takeover)
}
