// SPDX-License-Identifier: GPL-2.0

//! An entry point that somebody else has redirected, as a live patch does it:
//! no hooks until it is free again.

use anyhow::{ensure, Context, Result};

use super::super::module::reload;
use super::expect_works;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::hooks::{self, Mode};
use crate::tracing;

tests! {
    hooks_taken: "EBUSY while an entry point is somebody else's"
        warns ["cannot hook the C builder: EBUSY"],
    hooks_taken_changes: "nothing is hooked between two that are taken"
        warns ["cannot hook the C builder: EBUSY"],
    hooks_taken_late: "who comes after the hooks changes nothing",
}

const ENTRIES: [&str; 3] = [
    "arch_bpf_trampoline_size",
    "arch_prepare_bpf_trampoline",
    "bpf_fixup_kfunc_call",
];

/// A kprobe that may change where its function goes, and never does.
fn redirect(faults: &Faults, function: &str) -> Result<()> {
    faults.inject(Fault {
        function,
        ..Default::default()
    })
}

/// Which entry points ftrace leads anywhere.
fn traced() -> Result<Vec<&'static str>> {
    let enabled = tracing::read("enabled_functions")?;
    let first_words: Vec<_> = enabled
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let traced = ENTRIES.iter().filter(|entry| first_words.contains(entry));
    Ok(traced.copied().collect())
}

/// No mode but off can be set, and ftrace knows of none but the other user.
fn expect_busy(mode: Mode, taken: &'static str) -> Result<()> {
    check_errno!(
        hooks::write(mode.name()),
        EBUSY,
        "{} with {taken}() taken",
        mode.name()
    );
    check_eq!(hooks::mode()?, "off\n", "mode after the error");
    check_eq!(traced()?, [taken], "traced entry points");
    Ok(hooks::write(Mode::Off.name())?)
}

fn hooks_taken(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    for entry in ENTRIES {
        reload(env)?;
        check_eq!(traced()?, [""; 0], "entry points of a fresh module");
        let faults = Faults::load(env)?;
        redirect(&faults, entry)?;
        expect_busy(Mode::Takeover, entry)?;
        faults.stop()?;
        hooked.set(Mode::Takeover)?;
        check_eq!(traced()?, ENTRIES, "hooked entry points");
    }
    expect_works(env, &hooked, Mode::Takeover)?;
    expect_works(env, &hooked, Mode::Shadow)
}

fn hooks_taken_changes(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    reload(env)?;
    let faults = Faults::load(env)?;
    for entry in ENTRIES {
        redirect(&faults, entry)?;
        expect_busy(Mode::Shadow, entry)?;
    }
    expect_works(env, &hooked, Mode::Off)?;
    // A module that was refused goes like any other.
    reload(env)?;
    expect_busy(Mode::Shadow, ENTRIES[2])?;
    drop(faults);
    expect_works(env, &hooked, Mode::Takeover)
}

/// Kernels whose `register_kprobe()` hides that it was refused (7.2) say nothing,
/// so it is the effect that counts: every call would fail.
fn hooks_taken_late(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Shadow)?;
    let faults = Faults::load(env)?;
    for entry in ENTRIES {
        let result = faults.inject(Fault {
            function: entry,
            retval: -i64::from(libc::ENOSPC),
            times: 1000,
            everywhere: true,
            ..Default::default()
        });
        let errno = result
            .err()
            .and_then(|err| err.downcast_ref::<std::io::Error>()?.raw_os_error());
        ensure!(
            matches!(errno, None | Some(libc::EBUSY)),
            "a redirection of {entry}(): {errno:?}"
        );
        let enabled = tracing::read("enabled_functions")?;
        let users = format!("{entry} (1) ");
        ensure!(
            enabled.lines().any(|line| line.starts_with(&users)),
            "{entry}() has other users than the hooks: {enabled}"
        );
        for mode in [Mode::Shadow, Mode::Takeover] {
            expect_works(env, &hooked, mode).with_context(|| format!("after {entry}()"))?;
        }
    }
    Ok(())
}
