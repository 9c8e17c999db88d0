// SPDX-License-Identifier: GPL-2.0

//! A C compiler, which checks assertions on the header.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Panics where the compiler finds an error in `source`.
pub fn compile(source: &str) {
    let uapi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/uapi");
    let mut cc = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wpadded",
            "-Werror",
            "-fsyntax-only",
            "-xc",
            "-",
        ])
        .arg("-I")
        .arg(uapi)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a C compiler");
    cc.stdin
        .take()
        .unwrap()
        .write_all(source.as_bytes())
        .unwrap();
    assert!(
        cc.wait().unwrap().success(),
        "the header and its mirror differ"
    );
}
