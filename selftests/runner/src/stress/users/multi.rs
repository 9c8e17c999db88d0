// SPDX-License-Identifier: GPL-2.0

//! One program on several functions, with a cookie for each: `tracing_multi` and
//! `kprobe_multi` links.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use anyhow::{ensure, Context, Result};

use super::functions::Whose;
use crate::bpf;
use crate::stress::board::Count;
use crate::stress::programs::What;
use crate::stress::turn::Turn;
use crate::tests::settle;
use crate::workload::multi::{
    link_create, BPF_TRACE_FENTRY_MULTI, BPF_TRACE_FEXIT_MULTI, BPF_TRACE_FSESSION_MULTI,
};

const KINDS: [(What, u32); 4] = [
    (What::Fentry, BPF_TRACE_FENTRY_MULTI),
    (What::Fexit, BPF_TRACE_FEXIT_MULTI),
    (What::Session, BPF_TRACE_FSESSION_MULTI),
    (What::WithCookie, BPF_TRACE_FSESSION_MULTI),
];

/// Where several targets may be beside other links.
fn targets<'a>(turn: &Turn<'a>) -> Vec<&'a super::functions::Function> {
    let functions = turn.stage.programs.functions.iter();
    functions
        .filter(|function| {
            function.whose == Whose::Links && function.name.starts_with("bpf_fentry_test")
        })
        .collect()
}

/// A program for several targets is known by its attach type alone.
pub fn missing() -> Option<String> {
    let known = std::fs::read("/sys/kernel/btf/vmlinux").is_ok_and(|btf| {
        let name = b"BPF_TRACE_FSESSION_MULTI";
        btf.windows(name.len()).any(|window| window == name)
    });
    (!known).then(|| "the kernel has no tracing_multi links".to_owned())
}

pub fn tracing(turn: &mut Turn<'_>) -> Result<()> {
    let targets = targets(turn);
    let mut id = 0;
    while turn.next()? {
        let (what, attach_type) = *turn.draw.pick(&KINDS);
        turn.say(format!("{what:?} on {} functions", targets.len()))?;
        let programs = &turn.stage.programs;
        let prog = match programs.load_as(what, false, attach_type, 0) {
            Err(err) if turn.stage.may_fail(&err) => continue,
            prog => prog.with_context(|| format!("cannot load {what:?} for several targets"))?,
        };
        turn.count(Count::Loaded, 1);
        id += 1;
        let places: Vec<_> = turn.places().take(targets.len()).collect();
        let cookie = |place: &usize| turn.cookie(*place, id);
        let cookies: Vec<u64> = places.iter().map(cookie).collect();
        for place in &places {
            turn.stage.programs.clear(*place, 0)?;
        }
        let ids: Vec<_> = targets.iter().map(|function| function.id).collect();
        let link = match link_create(prog.as_fd(), attach_type, &ids, &cookies) {
            Ok(link) => link,
            // Too many links; all or nothing.
            Err(err) if explained(turn, &err) => {
                turn.count(Count::Refused, 1);
                for place in &places {
                    let seen = turn.stage.programs.seen(*place)?;
                    // The first ones had it until the last one was refused.
                    ensure!(seen.wrong == 0, "{what:?} saw {seen:?}");
                }
                continue;
            }
            Err(err) => return Err(err).context("cannot attach to several targets"),
        };
        turn.count(Count::Attached, ids.len() as u64);
        turn.pause(40)?;
        check(turn, what, prog.as_fd(), &places)?;
        drop(link);
        turn.count(Count::Detached, ids.len() as u64);
        settle()?;
        for place in &places {
            let seen = turn.stage.programs.seen(*place)?;
            turn.count(Count::Events, seen.entries + seen.returns);
        }
    }
    Ok(())
}

fn explained(turn: &Turn<'_>, err: &io::Error) -> bool {
    let errnos = [
        libc::EBUSY,
        libc::EINVAL,
        libc::E2BIG,
        libc::ENODEV,
        libc::ENOMEM,
    ];
    turn.stage.may_fail(err) || errnos.contains(&err.raw_os_error().unwrap_or(0))
}

/// Every program sees this process's call once in each function.
fn check(turn: &mut Turn<'_>, what: What, prog: BorrowedFd<'_>, places: &[usize]) -> Result<()> {
    let own = |place: &usize| -> Result<(u64, u64)> {
        let seen = turn.stage.programs.seen(*place)?;
        Ok((seen.own_entries, seen.own_returns))
    };
    let before = places.iter().map(own).collect::<Result<Vec<_>>>()?;
    bpf::test_run(prog)?;
    let after = places.iter().map(own).collect::<Result<Vec<_>>>()?;
    let missed = bpf::misses(prog)?;
    let halves = what.halves();
    for (place, (before, after)) in places.iter().zip(before.iter().zip(&after)) {
        let seen = turn.stage.programs.seen(*place)?;
        let good = seen.wrong == 0
            && seen.lost <= missed
            && after.0 - before.0 + missed >= halves.0
            && after.1 - before.1 + missed >= halves.1;
        ensure!(
            good,
            "{what:?} saw {seen:?} of a call, left out {missed} times"
        );
    }
    turn.count(Count::Checked, places.len() as u64);
    Ok(())
}

/// Sessions of kprobes: their kfuncs stay calls, and their functions are the same.
pub fn kprobes(turn: &mut Turn<'_>) -> Result<()> {
    let names = ["bpf_fentry_test2", "bpf_fentry_test5", "vfs_read"];
    let mut id = 0;
    while turn.next()? {
        turn.say("a session of kprobes")?;
        let opts = libbpf_sys::bpf_prog_load_opts {
            expected_attach_type: libbpf_sys::BPF_TRACE_KPROBE_SESSION,
            ..Default::default()
        };
        let prog =
            turn.stage
                .programs
                .load_raw("kprobe_session", libbpf_sys::BPF_PROG_TYPE_KPROBE, opts);
        let prog = match prog {
            Err(err) if turn.stage.may_fail(&err) => continue,
            prog => prog.context("cannot load a session of kprobes")?,
        };
        turn.count(Count::Loaded, 1);
        id += 1;
        let place = turn.places().start;
        turn.stage.programs.clear(place, 0)?;
        let cookies = [turn.cookie(place, id); 3];
        match kprobe_link(prog.as_fd(), &names, &cookies) {
            Ok(link) => {
                turn.count(Count::Attached, 1);
                turn.pause(40)?;
                drop(link);
                turn.count(Count::Detached, 1);
                let seen = turn.stage.programs.seen(place)?;
                turn.count(Count::Events, seen.entries + seen.returns);
            }
            Err(err) => {
                ensure!(turn.stage.may_fail(&err), "no session of kprobes: {err}");
                turn.count(Count::Refused, 1);
            }
        }
    }
    Ok(())
}

fn kprobe_link(prog: BorrowedFd<'_>, names: &[&str], cookies: &[u64]) -> io::Result<OwnedFd> {
    let names = names
        .iter()
        .map(|name| CString::new(*name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let mut opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as _,
        ..Default::default()
    };
    opts.__bindgen_anon_1.kprobe_multi.cnt = pointers.len() as u32;
    opts.__bindgen_anon_1.kprobe_multi.syms = pointers.as_mut_ptr();
    opts.__bindgen_anon_1.kprobe_multi.cookies = cookies.as_ptr();
    let attach_type = libbpf_sys::BPF_TRACE_KPROBE_SESSION;
    // SAFETY: All that `opts` points to has `cnt` entries and outlives the call.
    let fd = bpf::check(unsafe {
        libbpf_sys::bpf_link_create(prog.as_raw_fd(), 0, attach_type, &opts)
    })?;
    // SAFETY: The kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
