// SPDX-License-Identifier: GPL-2.0

//! What a session kfunc costs in a program: inlined in an fsession, called in a kprobe
//! session, where the kernel does not inline it.

use std::path::Path;

use anyhow::Result;
use figures::document::{Document, Inlining};

use super::calling::others;
use super::module::Module;
use super::programs::{Source, Target};

const KFUNCS: [(&str, &str, &str); 2] = [
    (
        "bpf_session_is_return",
        "session_is_return",
        "kprobe_session_is_return",
    ),
    (
        "bpf_session_cookie",
        "session_cookie",
        "kprobe_session_cookie",
    ),
];

pub fn count(
    module: &Module,
    source: &Source,
    target: &Target,
    dir: &Path,
    document: &mut Document,
) -> Result<()> {
    let run = |name| -> Result<u64> { Ok(module.parts(source.session(name, target)?)?.run) };
    let without = (run("session")?, others(module, dir, &["kprobe_session"])?);
    for (kfunc, inlined, called) in KFUNCS {
        let called = others(module, dir, &[called])?;
        document.inlining.push(Inlining {
            kfunc: kfunc.to_owned(),
            inlined: run(inlined)?.saturating_sub(without.0),
            // The program runs at the entry and at the return.
            called: called.saturating_sub(without.1) / 2,
        });
    }
    Ok(())
}
