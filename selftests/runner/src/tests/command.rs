// SPDX-License-Identifier: GPL-2.0

//! The command `fsession`, on what a test has attached.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{ensure, Context, Result};

use super::module::{reload, unload};
use crate::harness::{installed, skip, Env};
use crate::kmod;
use crate::probe::{Kind, Spec};
use crate::sysctl::Sysctl;

const TARGET: &str = "bpf_fentry_test5";

/// On what is attached, whoever has built its image.
pub mod either_way {
    use super::*;

    tests! {
        command_dump: "fsession: a dump tells what is attached, and is read",
    }
}

/// With the module, and without it.
pub mod device {
    use super::*;

    tests! {
        command_live: "fsession finds and shows what is attached right now",
        command_refused: "fsession says in one line what it cannot do",
        command_diff: "fsession: C beside Rust, and two that differ",
        command_trace: "fsession traces what a command calls, both ways",
        command_module: "fsession tells the mode, counters, both builders",
        command_alone: "fsession without the module",
    }
}

/// Runs it, with its output as the reader of a pipe gets it.
fn fsession(args: &[&str]) -> Result<Output> {
    let program = installed("bin/fsession");
    if !program.exists() {
        return Err(skip(format!("no {}", program.display())));
    }
    Command::new(&program)
        .args(args)
        .env("COLUMNS", "80")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))
}

/// What it says where it succeeds.
fn says(args: &[&str]) -> Result<String> {
    let output = fsession(args)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "fsession {args:?}: {}, {}{text}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

/// Fails unless it ends with `status` and with one line that has `part`.
fn refuses(args: &[&str], status: i32, part: &str) -> Result<()> {
    let output = fsession(args)?;
    let text = String::from_utf8_lossy(&output.stderr);
    check_eq!(
        output.status.code(),
        Some(status),
        "status of fsession {args:?} ({text})"
    );
    ensure!(
        text.contains(part) && text.lines().count() == 1,
        "fsession {args:?} says {text:?} and not {part:?} in one line"
    );
    Ok(())
}

fn contains(text: &str, parts: &[&str], what: &str) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "{what} has no {part:?}:\n{text}");
    }
    Ok(())
}

/// A file that goes with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Result<Self> {
        let dir = std::env::temp_dir();
        fs::create_dir_all(&dir)?;
        Ok(Self(dir.join(format!("{name}.{}", std::process::id()))))
    }

    fn name(&self) -> Result<&str> {
        self.0.to_str().context("the name of the file is no text")
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may not have come to be.
        let _ = fs::remove_file(&self.0);
    }
}

fn command_dump(env: &Env) -> Result<()> {
    let log = env.log()?;
    let tramp = env.trampoline()?;
    let fentry = log.load(Spec::new(Kind::Fentry, TARGET))?;
    let fexit = log.load(Spec::new(Kind::Fexit, TARGET))?;
    let session = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    for (probe, bpf_cookie) in [(&fentry, 0), (&fexit, 0x77), (&session, 0)] {
        tramp.add_with_cookie(probe, bpf_cookie)?;
    }
    let file = Temporary::new("dump.json")?;
    let path = file.name()?;
    says(&["dump", path])?;

    let list = says(&["list", "--from", path, "--target", TARGET, "--json"])?;
    contains(
        &list,
        &["\"fentry\"", "\"fexit\"", "\"fsession\"", TARGET],
        "the list",
    )?;
    let pid = format!("\"pid\": {}", std::process::id());
    contains(&list, &[&pid], "the list")?;
    for kind in ["fentry", "fexit", "fsession"] {
        let list = says(&["list", "--from", path, "--kind", kind])?;
        contains(&list, &[TARGET], kind)?;
    }

    let show = says(&["show", TARGET, "--from", path])?;
    let parts = [
        "int bpf_fentry_test5(u64 a, void *b, short int c, int d, u64 e)",
        "session cookie ctx[-2]",
        "BPF cookie 0x77",
        "Stack frame",
        "│ d ",
        "(fsession, at entry)",
        "(fsession, at return)",
        "call bpf_fentry_test5+0x",
        "__bpf_prog_enter",
        "__bpf_tramp_exit",
        "entry programs",
        "return programs",
    ];
    contains(&show, &parts, "the view")?;
    let map = says(&["show", TARGET, "--from", path, "--frame-map"])?;
    let parts = [
        "\"nr_args\": 5",
        "\"ctx\": -48",
        "session_cookie",
        "run_context",
    ];
    contains(&map, &parts, "the frame map")?;
    let same = says(&["diff", path, path])?;
    contains(&same, &[" the same, 0 not"], "a dump beside itself")?;

    // The bytes by /proc/kcore are those of the module.
    if let Some(device) = tramp.device() {
        let output = fsession(&["show", TARGET, "--from", path, "--raw"])?;
        check_eq!(output.stdout, device.image()?, "bytes of the image");
    }
    Ok(())
}

fn command_live(env: &Env) -> Result<()> {
    let tramp = env.trampoline()?;
    let session = env.log()?.load(Spec::new(Kind::Session, TARGET))?;
    tramp.add(&session)?;
    let list = says(&["list"])?;
    contains(&list, &["TARGET", TARGET, "fsession"], "the list")?;
    let device = tramp.device().context("opened above")?;
    let inside = format!("{:#x}", device.info()?.image_addr + 9);
    let show = says(&["show", &inside])?;
    contains(&show, &[TARGET, "identical"], "the view by an address")?;
    tramp.remove(&session)?;
    refuses(&["show", &inside], 2, "no trampoline is called")
}

fn command_refused(env: &Env) -> Result<()> {
    env.device()?;
    refuses(&["show", "no_such_function"], 2, "no trampoline is called")?;
    refuses(
        &["trace", "no_such_function"],
        2,
        "no function no_such_function",
    )?;
    refuses(&["list", "--from", "/proc/version"], 2, "no dump")?;
    refuses(&["list", "--from", "/nowhere"], 2, "cannot read /nowhere")?;
    refuses(&["diff", "--mismatch", "0"], 2, "no difference is kept")?;
    let _hidden = Sysctl::set("kernel/kptr_restrict", "2")?;
    refuses(&["list"], 2, "kptr_restrict")
}

fn command_diff(env: &Env) -> Result<()> {
    let log = env.log()?;
    let (one, other) = (env.trampoline()?, env.trampoline()?);
    let with_cookie = log.load(Spec::new(Kind::Session, TARGET).cookie())?;
    let fexit = log.load(Spec::new(Kind::Fexit, "bpf_fentry_test1"))?;
    one.add_with_cookie(&with_cookie, 7)?;
    other.add(&fexit)?;
    let same = says(&["diff", TARGET])?;
    contains(&same, &["- C, ", "+ Rust, ", "The same: "], "C beside Rust")?;
    let output = fsession(&["diff", TARGET, "bpf_fentry_test1"])?;
    check_eq!(output.status.code(), Some(1), "status of two that differ");
    let text = String::from_utf8_lossy(&output.stdout);
    contains(&text, &["entry programs", "\n-", "\n+"], "the difference")
}

/// The command that is traced reads a file.
const COMMAND: [&str; 5] = ["--", "head", "-n", "1", "/proc/version"];

fn trace(options: &[&str]) -> Result<()> {
    let args = [&["trace", "vfs_read"], options, &COMMAND].concat();
    let output = fsession(&args)?;
    let (text, notes) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{}: {notes}", output.status);
    contains(
        &text,
        &["vfs_read(file=0x", "<version>", "count=", ") = "],
        "the trace",
    )?;
    contains(&notes, &["0 lost"], "the summary")
}

fn command_trace(env: &Env) -> Result<()> {
    env.device()?;
    trace(&[])?;
    trace(&["--link"])
}

fn command_module(env: &Env) -> Result<()> {
    env.device()?;
    contains(&says(&["mode"])?, &["off"], "the mode")?;
    contains(
        &says(&["mode", "shadow"])?,
        &["shadow (was off)"],
        "the mode",
    )?;
    contains(&says(&["mode", "off"])?, &["off (was shadow)"], "the mode")?;
    contains(
        &says(&["stats", "--json"])?,
        &["\"different\"", "\"built\""],
        "the counters",
    )?;
    let compared = says(&["compare", "--cases", "200"])?;
    contains(
        &compared,
        &["compared 200", "different 0"],
        "the comparison",
    )
}

fn command_alone(env: &Env) -> Result<()> {
    env.device()?;
    if !env.module.exists() {
        return Err(skip(format!("no {}, see --module", env.module.display())));
    }
    unload()?;
    let looked = alone();
    kmod::load(&env.module)?;
    looked?;
    reload(env)
}

fn alone() -> Result<()> {
    says(&["list"])?;
    trace(&[])?;
    for args in [&["mode"], &["stats"], &["compare"]] {
        refuses(args, 2, "insmod rust_fsession.ko")?;
    }
    Ok(())
}
