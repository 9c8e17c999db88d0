// SPDX-License-Identifier: GPL-2.0

//! Images that do not fit in a page. With call-depth tracking 17 sessions with
//! cookies are enough, and the kernel's own builder writes past the page. BPF
//! cookies would make the code longer, and C notice in time: there are none.

use std::fs;

use anyhow::{bail, ensure, Result};

use crate::harness::{skip, Env};
use crate::hooks::{Mode, Stats};
use crate::workload::bulk::{Attached, Bulk, What};
use crate::workload::functions::Functions;

tests! {
    hooks_limit_shadow: "E2BIG where C would write past its page, shadow",
    hooks_limit_takeover: "the same in mode takeover",
}

const RETBLEED: &str = "/sys/devices/system/cpu/vulnerabilities/retbleed";
const TARGET: &str = "bpf_fentry_test1";
/// As many as the kernel takes (`BPF_MAX_TRAMP_LINKS`).
const SESSIONS: usize = 18;

fn hooks_limit_shadow(env: &Env) -> Result<()> {
    fill(env, Mode::Shadow)
}

fn hooks_limit_takeover(env: &Env) -> Result<()> {
    fill(env, Mode::Takeover)
}

fn fill(env: &Env, mode: Mode) -> Result<()> {
    let retbleed = fs::read_to_string(RETBLEED).unwrap_or_default();
    if !retbleed.contains("Stuffing") {
        return Err(skip(
            "no call-depth tracking: CPU=Skylake-Server-v4 CMDLINE=retbleed=stuff",
        ));
    }
    let _hooked = env.hook(mode)?;
    let functions = Functions::load()?;
    let target = functions.named(TARGET)?;
    let mut bulk = Bulk::load(&env.bpf)?;
    let place = bulk.place(What::WithCookie, target)?;
    check_eq!(place, 0, "BPF cookie");
    let before = Stats::read()?;
    let mut attached: Vec<Attached> = Vec::new();
    let mut refused = 0;
    for nr in 0..SESSIONS {
        match bulk.attach_at(What::WithCookie, false, target, place) {
            Ok(program) if refused == 0 => attached.push(program),
            Ok(_) => bail!("session {nr} fits, another before it did not"),
            result => {
                check_errno!(result, E2BIG, "attaching session {nr}");
                refused += 1;
            }
        }
    }
    println!(
        "{} sessions with cookies, {refused} refused",
        attached.len()
    );
    ensure!(refused > 0, "all sessions fit in a page");
    // The trampoline's lock is free, and the others are still there.
    let sessions = attached.len() as u64;
    expect_calls(&bulk, &attached, sessions)?;
    attached.pop();
    expect_calls(&bulk, &attached, 2 * sessions - 1)?;

    let counted = before.since()?;
    println!("{counted}");
    check_eq!(counted.get("refused")?, refused, "images refused");
    counted.check_clean()
}

/// Has the function called once more; the sessions have seen `count` calls then.
fn expect_calls(bulk: &Bulk, attached: &[Attached], count: u64) -> Result<()> {
    attached[0].test_run()?;
    let seen = bulk.seen_by(&attached[0])?;
    check_eq!((seen.entries, seen.returns), (count, count), "calls");
    bulk.check()
}
