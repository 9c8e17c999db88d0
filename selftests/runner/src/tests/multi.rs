// SPDX-License-Identifier: GPL-2.0

//! Multi links: one program on many functions, each with a trampoline that others
//! may be on as well.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{ensure, Context, Result};

use super::onto::spec;
use super::wait_for;
use crate::bpf;
use crate::harness::{skip, Env};
use crate::kallsyms::{self, Kallsyms};
use crate::probe::{Kind, Spec};
use crate::targets::sum;
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::{Function, Functions};
use crate::workload::multi::{
    link_create, BPF_TRACE_FENTRY_MULTI, BPF_TRACE_FEXIT_MULTI, BPF_TRACE_FSESSION_MULTI,
};

tests! {
    multi_cookies: "each function has its cookie, address, return value",
    multi_rollback: "the last of them fails: none is left traced",
    multi_overlap: "two links and a single one share functions",
    multi_sleepable: "sleepable programs, functions that may not sleep",
    multi_module: "functions of a module, which is held meanwhile",
}

/// What `BPF_PROG_TEST_RUN` calls, and what each returns.
const FUNCTIONS: [(&str, u64); 9] = [
    ("bpf_fentry_test1", 2),
    ("bpf_fentry_test2", 5),
    ("bpf_fentry_test3", 15),
    ("bpf_fentry_test4", 34),
    ("bpf_fentry_test5", 65),
    ("bpf_fentry_test6", 111),
    ("bpf_fentry_test7", 0),
    ("bpf_fentry_test8", 0),
    ("bpf_fentry_test9", 0),
];

fn attach_type(what: What) -> u32 {
    match what {
        What::Fentry => BPF_TRACE_FENTRY_MULTI,
        What::Fexit => BPF_TRACE_FEXIT_MULTI,
        _ => BPF_TRACE_FSESSION_MULTI,
    }
}

/// What multi links need.
struct Multi {
    bulk: Bulk,
    functions: Vec<Function>,
}

/// A program on some functions, and the place of each.
struct Attached {
    what: What,
    prog: OwnedFd,
    places: Vec<usize>,
    _link: OwnedFd,
}

impl Multi {
    fn new(env: &Env) -> Result<Self> {
        let bulk = Bulk::load(&env.bpf)?;
        let all = Functions::load()?;
        let functions = FUNCTIONS.iter().map(|(name, _)| all.named(name).cloned());
        let multi = Self {
            bulk,
            functions: functions.collect::<Result<_>>()?,
        };
        match multi.load(What::Fentry, false) {
            Err(err) if err.raw_os_error() == Some(libc::EINVAL) => {
                Err(skip("the kernel does not know multi links"))
            }
            loaded => loaded.map(|_| multi).map_err(Into::into),
        }
    }

    fn load(&self, what: What, sleepable: bool) -> io::Result<OwnedFd> {
        self.bulk
            .load_multi(what, sleepable, attach_type(what), None)
    }

    /// Links a program to functions, each with a place of its own.
    fn try_link(
        &mut self,
        what: What,
        prog: OwnedFd,
        functions: &[Function],
    ) -> Result<io::Result<Attached>> {
        let ids: Vec<_> = functions.iter().map(|function| function.id).collect();
        let places = functions
            .iter()
            .map(|function| self.bulk.place(what, function));
        let places = places.collect::<Result<Vec<_>>>()?;
        let cookies: Vec<_> = places.iter().map(|place| *place as u64).collect();
        let link = link_create(prog.as_fd(), attach_type(what), &ids, &cookies);
        Ok(link.map(|link| Attached {
            what,
            prog,
            places,
            _link: link,
        }))
    }

    /// The same with the functions of a test run, by their place in the list.
    fn link(&mut self, what: What, at: std::ops::Range<usize>) -> Result<Attached> {
        let functions = self.functions[at.clone()].to_vec();
        let prog = self.load(what, false)?;
        self.try_link(what, prog, &functions)?
            .with_context(|| format!("{what:?} on the functions {at:?}"))
    }

    /// Each function of `attached` was called so often.
    fn expect(&self, attached: &Attached, calls: u64) -> Result<()> {
        let (entries, returns) = attached.what.halves();
        for place in &attached.places {
            let seen = self.bulk.seen_at(*place)?;
            check_eq!(
                (seen.entries, seen.returns, seen.wrong, seen.alone),
                (entries * calls, returns * calls, 0, 0),
                "what {:?} saw at place {place}",
                attached.what
            );
        }
        self.bulk.check()
    }
}

fn multi_cookies(env: &Env) -> Result<()> {
    let mut multi = Multi::new(env)?;
    let symbols = Kallsyms::load()?;
    let kinds = [What::WithIp, What::WithCookie, What::Fexit, What::Fentry];
    let mut links = Vec::new();
    for what in kinds {
        links.push(multi.link(what, 0..FUNCTIONS.len())?);
    }
    for calls in 1..=2 {
        bpf::test_run(links[0].prog.as_fd())?;
        for link in &links {
            multi.expect(link, calls)?;
        }
    }
    for ((name, ret), place) in FUNCTIONS.iter().zip(&links[0].places) {
        let seen = multi.bulk.seen_at(*place)?;
        check_eq!(symbols.name(seen.ip).as_deref(), Some(*name), "address");
        check_eq!(seen.ret as u32, *ret as u32, "what {name} returned");
    }
    Ok(())
}

fn multi_rollback(env: &Env) -> Result<()> {
    let mut multi = Multi::new(env)?;
    let device = crate::device::Device::open()?;
    let log = env.log()?;
    let last = FUNCTIONS.len() - 1;
    // Somebody is there before, on functions at the begin and in the middle.
    let there = multi.link(What::WithCookie, 0..1)?;
    let also_there = multi.link(What::Session, 4..6)?;
    let session = log.load(Spec::new(Kind::Session, FUNCTIONS[last].0).quiet())?;
    let all = multi.functions.clone();
    let mut not_one = all.clone();
    not_one[last].id = u32::MAX >> 8;
    let mut calls = 0;
    for what in [What::WithCookie, What::Fentry] {
        device.add(session.fd(), 0)?;
        wait_for("old images are freed", || {
            Ok(kallsyms::kernel_images()?.len() == 3)
        })?;
        let images = kallsyms::kernel_images()?;
        // What has no such number, what has another direct call.
        for (functions, errnos) in [
            (&not_one, [libc::EINVAL; 2]),
            (&all, [libc::EBUSY, libc::EINVAL]),
        ] {
            let prog = multi.load(what, false)?;
            let errno = multi.try_link(what, prog, functions)?;
            let errno = errno.err().and_then(|err| err.raw_os_error());
            ensure!(
                errno.is_some_and(|errno| errnos.contains(&errno)),
                "{what:?}, the last of which fails: {errno:?}"
            );
            bpf::test_run(there.prog.as_fd())?;
            calls += 1;
            multi.expect(&there, calls)?;
            multi.expect(&also_there, calls)?;
        }
        wait_for("images of the refused are freed", || {
            Ok(kallsyms::kernel_images()? == images)
        })?;
        device.remove(session.fd())?;
        // The same list, with nobody in the way.
        let prog = multi.load(what, false)?;
        let link = multi
            .try_link(what, prog, &all)?
            .context("nobody is in the way")?;
        bpf::test_run(there.prog.as_fd())?;
        calls += 1;
        multi.expect(&link, 1)?;
        multi.expect(&there, calls)?;
        multi.expect(&also_there, calls)?;
    }
    Ok(())
}

fn multi_overlap(env: &Env) -> Result<()> {
    let mut multi = Multi::new(env)?;
    let first = multi.link(What::WithCookie, 0..6)?;
    let second = multi.link(What::WithIp, 3..9)?;
    let function = multi.functions[4].clone();
    let single = multi.bulk.attach(What::WithCookie, false, &function)??;
    let third = multi.link(What::Fexit, 4..5)?;
    let run = |prog: &OwnedFd| bpf::test_run(prog.as_fd());
    run(&first.prog)?;
    for link in [&first, &second, &third] {
        multi.expect(link, 1)?;
    }
    // The one that shares most goes first, then all but one.
    let gone = (first.what, first.places.clone(), first.prog.try_clone()?);
    drop(first);
    run(&gone.2)?;
    for link in [&second, &third] {
        multi.expect(link, 2)?;
    }
    for place in &gone.1 {
        let seen = multi.bulk.seen_at(*place)?;
        check_eq!((seen.entries, seen.returns), (1, 1), "runs of {:?}", gone.0);
    }
    let first = multi.link(What::WithCookie, 2..8)?;
    run(&first.prog)?;
    multi.expect(&first, 1)?;
    multi.expect(&second, 3)?;
    drop(second);
    drop(third);
    run(&first.prog)?;
    multi.expect(&first, 2)?;
    let seen = multi.bulk.seen_by(&single)?;
    check_eq!(
        (seen.entries, seen.returns, seen.alone),
        (4, 4, 0),
        "single link"
    );
    drop(first);
    run(&single.prog)?;
    check_eq!(
        multi.bulk.seen_by(&single)?.returns,
        5,
        "single link, alone"
    );
    multi.bulk.check()
}

fn multi_sleepable(env: &Env) -> Result<()> {
    let mut multi = Multi::new(env)?;
    let all = Functions::load()?;
    let mut functions = Vec::new();
    for name in ["__x64_sys_getpgid", "__x64_sys_getsid", "bpf_fentry_test1"] {
        functions.push(all.named(name)?.clone());
    }
    let link = |multi: &mut Multi, what, functions: &[Function]| {
        let prog = multi.load(what, true)?;
        multi.try_link(what, prog, functions)
    };
    for what in [What::Fentry, What::WithCookie, What::Fexit] {
        let attached = link(&mut multi, what, &functions)?.context("where all may sleep")?;
        rustix::process::getpgid(None)?;
        rustix::process::getsid(None)?;
        bpf::test_run(attached.prog.as_fd())?;
        for place in &attached.places {
            let seen = multi.bulk.seen_at(*place)?;
            let (entries, returns) = what.halves();
            // Others make system calls, too.
            ensure!(
                seen.entries >= entries && seen.returns >= returns && seen.wrong == 0,
                "{what:?} at place {place}: {seen:?}"
            );
        }
    }
    functions.push(all.named("bpf_fentry_test2")?.clone());
    let result = link(&mut multi, What::Session, &functions)?;
    check_errno!(result, EINVAL, "sleepable where nothing may sleep");
    multi.bulk.check()
}

fn multi_module(env: &Env) -> Result<()> {
    let mut multi = Multi::new(env)?;
    let targets = env.targets()?;
    let log = env.log()?;
    let names = ["args_1", "args_6", "args_8", "args_12"];
    let nr_words = [1, 6, 8, 12];
    let (mut functions, mut btf) = (Vec::new(), None);
    for (name, words) in names.iter().zip(nr_words) {
        // Whatever is loaded for a function tells its number.
        let probe = log.load(spec(Kind::Fentry, name))?;
        let info = bpf::info(probe.fd())?;
        functions.push(Function {
            name: format!("targets_{name}"),
            id: info.attach_btf_id,
            nr_args: words as usize,
            words,
            by_value: false,
        });
        btf = Some(bpf::btf(info.attach_btf_obj_id)?);
    }
    let btf = btf.context("some function was asked for")?;
    let mut links = Vec::new();
    for what in [What::WithCookie, What::Fentry, What::WithIp, What::Fexit] {
        let prog = multi
            .bulk
            .load_multi(what, false, attach_type(what), Some(btf.as_fd()))?;
        let link = multi.try_link(what, prog, &functions)?;
        links.push(link.with_context(|| format!("{what:?} on functions of a module"))?);
    }
    drop(targets);
    let unload = || crate::kmod::unload_other(c"rust_fsession_targets");
    check_errno!(unload(), EWOULDBLOCK, "unloading traced functions");
    let targets = env.targets()?;
    for calls in 1..=2 {
        for (name, words) in names.iter().zip(nr_words) {
            let args = &super::onto::words::<12>()[..words as usize];
            check_eq!(targets.call(name, args)?, sum(args), "what {name} gave");
        }
        for link in &links {
            multi.expect(link, calls)?;
        }
        links.pop();
    }
    Ok(())
}
