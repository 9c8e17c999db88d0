// SPDX-License-Identifier: GPL-2.0

//! Targets in modules, our own among them, and tasks of other processes in a
//! traced function.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use rustix::system::delete_module;

use super::onto::{spec, words, Call};
use super::{settle, wait_for};
use crate::device::Device;
use crate::harness::{skip, Env};
use crate::kmod;
use crate::probe::{Kind, Phase, Spec};
use crate::targets::{sum, MODULE};

tests! {
    foreign_module_own: "a session on a function of rust_fsession itself",
    foreign_module_held: "a module with a traced function cannot go",
    foreign_module_back: "it goes after the detach, comes back, is traced",
    foreign_killed_inside: "a task is killed while it sleeps in the function",
    foreign_stack_sleeper: "/proc/<pid>/stack of a task that sleeps in there",
}

fn foreign_module_own(env: &Env) -> Result<()> {
    env.trampoline()?;
    let log = env.log()?;
    // Attaching looks at how the target begins.
    let session = log.load(
        Spec::new(Kind::Session, "rf_is_endbr")
            .this_process()
            .cookie(),
    )?;
    let other = log.load(Spec::new(Kind::Session, "bpf_fentry_test1").quiet())?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    log.take()?;
    let device = Device::open().context("cannot open the device")?;
    device.add(other.fd(), 0)?;
    let address = device.info()?.target_addr;
    drop(device);

    let events = log.take()?;
    let seen = events
        .iter()
        .filter(|event| event.args[0] == address)
        .map(|event| event.phase());
    let seen: Vec<_> = seen.take(2).collect();
    check_eq!(seen, [Phase::Entry, Phase::Return], "halves");
    super::cookie::check_cookies(&events, |_| true)
}

fn unload() -> std::io::Result<()> {
    let name = std::ffi::CString::new(MODULE)?;
    Ok(delete_module(&name, libc::O_NONBLOCK)?)
}

fn foreign_module_held(env: &Env) -> Result<()> {
    drop(env.targets()?);
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "args_8").cookie())?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    check_errno!(unload(), EWOULDBLOCK, "unloading with a traced function");
    // The trampoline alone holds it as well.
    drop(session);
    check_errno!(unload(), EWOULDBLOCK, "unloading without the descriptor");
    let args: [u64; 8] = words();
    let ret = env.targets()?.call("args_8", &args)?;
    check_eq!(ret, sum(&args), "what the caller got");
    check_eq!(log.take()?.len(), 2, "number of records");
    Ok(())
}

fn foreign_module_back(env: &Env) -> Result<()> {
    drop(env.targets()?);
    let path = env.other_module(MODULE);
    if !path.exists() {
        return Err(skip(format!("no {}, see --module", path.display())));
    }
    let args: [u64; 8] = words();
    for _ in 0..2 {
        Call {
            function: "args_8",
            words: &args,
            args: &args,
            ret: sum(&args),
        }
        .check(env)?;
        wait_for("the module can be unloaded", || match unload() {
            Ok(()) => Ok(true),
            Err(err) if err.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
            Err(err) => Err(err).context("cannot unload the targets"),
        })?;
        kmod::load(&path).with_context(|| format!("cannot load {}", path.display()))?;
        wait_for("the node is there", || Ok(env.targets().is_ok()))?;
    }
    Ok(())
}

fn foreign_killed_inside(env: &Env) -> Result<()> {
    let mut child = Command::new("/proc/self/exe")
        .arg("--hold")
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start another process")?;
    let log = env.log()?;
    let session = log.load(
        Spec::new(Kind::Session, "anon_pipe_read")
            .process(child.id())
            .cookie(),
    )?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    // It may be in there since before: the next call is a traced one.
    let mut stdin = child.stdin.take().context("no pipe")?;
    stdin.write_all(b"!")?;
    wait_for("the other process is asleep", || {
        let hits = session.hits()?;
        Ok(hits.entry > hits.ret)
    })?;
    let before = session.hits()?;
    child.kill()?;
    child.wait()?;
    // Before, it would have been its end that woke the other process.
    drop(stdin);
    check_eq!(session.hits()?.ret, before.ret + 1, "returns");
    let events = log.take()?;
    let last = events.last().context("no records")?;
    ensure!(
        (last.ret as i64) < 0,
        "a read() that was killed returned {:#x}, {events:x?}",
        last.ret
    );
    super::cookie::check_cookies(&events, |_| true)
}

fn foreign_stack_sleeper(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let session = log.load(spec(Kind::Session, "sleep").cookie())?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    let args = [1, 2];
    let stack = std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| targets.call("sleep", &args));
        let entered = wait_for("the function is entered", || Ok(session.hits()?.entry == 1));
        let stack = entered.and_then(|()| {
            // It counts before it writes its record.
            settle()?;
            let [entry] = log.take_exactly()?;
            let path = format!("/proc/self/task/{}/stack", entry.tid);
            let mut stack = String::new();
            // Until it really sleeps, it has none to show.
            wait_for("the thread is asleep", || {
                stack.clear();
                let mut file = File::open(&path)?;
                file.read_to_string(&mut stack)?;
                Ok(stack.contains("wait_for_common") || stack.contains("targets_sleep"))
            })?;
            Ok(stack)
        });
        targets.wake()?;
        let ret = sleeper.join().expect("a sleeper does not panic")?;
        check_eq!(ret, sum(&args), "what the caller got");
        stack
    })?;
    let names = [
        "targets_sleep",
        "bpf_trampoline_",
        "targets_ioctl",
        "entry_SYSCALL_64",
    ];
    let found: Option<Vec<_>> = names.iter().map(|name| stack.find(name)).collect();
    ensure!(
        found.is_some_and(|places| places.is_sorted()),
        "not from the function through the image to its caller: {stack}"
    );
    Ok(())
}
