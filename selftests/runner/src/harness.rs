// SPDX-License-Identifier: GPL-2.0

//! What a test is, and running one in a process of its own, so that its crash
//! or its hang is one `not ok` and no more.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use comparison::drawn_seed;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{memfd_create, MemfdFlags};
use rustix::io::Errno;
use rustix::process::{kill_process_group, pidfd_open, Pid, PidfdFlags, Signal};

use crate::attach::{Trampoline, Via};
use crate::device;
use crate::hooks::{self, Hooked, Mode, Stats};
use crate::kmod;
use crate::ktap::Outcome;
use crate::probe::Log;
use crate::targets::{self, Targets};

pub const EXIT_FAIL: u8 = 1;
pub const EXIT_SKIP: u8 = 4;

/// How long a killed test may take to be gone.
const KILL_GRACE: Duration = Duration::from_secs(5);

pub struct Test {
    pub name: &'static str,
    /// Path of its Rust module, which is that of its file.
    pub module: &'static str,
    /// What holds when it passes, for `--list`.
    pub what: &'static str,
    /// What the module must say in the kernel log meanwhile, at the level of a
    /// warning or above. Anything else of that level fails the test.
    pub warns: &'static [&'static str],
    pub run: fn(&Env) -> Result<()>,
}

/// Where the test finds what it works with.
#[derive(Clone, Debug, clap::Args)]
pub struct Env {
    /// How programs are put on functions.
    #[arg(skip = Via::Device)]
    pub via: Via,

    /// Directory of the BPF objects
    #[arg(long, value_name = "DIR", default_value_os_t = installed("obj"))]
    pub bpf: PathBuf,

    /// What the random parts of tests grow from, beside a fixed seed [default: drawn]
    #[arg(long, value_name = "N", default_value_t = drawn_seed(), hide_default_value = true)]
    pub seed: u64,

    /// Does in full what is cut short where it takes minutes (see --timeout)
    #[arg(long)]
    pub whole: bool,

    /// The module, for the tests that unload and load it
    #[arg(long, value_name = "FILE", default_value_os_t = installed("modules/rust_fsession.ko"))]
    pub module: PathBuf,
}

/// Where `name` lies in the suite that this program lies in, in `bin/`.
pub fn installed(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let suite = program.ancestors().nth(2).unwrap_or(Path::new("/"));
    suite.join(name)
}

impl Env {
    pub fn log(&self) -> Result<Log> {
        Log::new(&self.bpf)
    }

    pub fn trampoline(&self) -> Result<Trampoline> {
        if self.via != Via::Link {
            need_module()?;
        }
        Trampoline::open(self.via).with_context(|| format!("cannot open {}", device::PATH))
    }

    /// For tests of the device itself.
    pub fn device(&self) -> Result<device::Device> {
        match self.trampoline()? {
            Trampoline::Device(device) => Ok(device),
            Trampoline::Link(_) => Err(skip("only for --via device")),
        }
    }

    /// For tests that trace the functions of a module made for it.
    pub fn targets(&self) -> Result<Targets> {
        Targets::open().map_err(|err| match err.kind() {
            ErrorKind::NotFound => skip(format!("{}.ko is not loaded", targets::MODULE)),
            _ => anyhow::Error::new(err).context("cannot open the test targets"),
        })
    }

    /// Another module, from the directory of `module`.
    pub fn other_module(&self, name: &str) -> PathBuf {
        self.module.with_file_name(format!("{name}.ko"))
    }

    /// For tests of the hooks: sets their mode until the value is dropped.
    pub fn hook(&self, mode: Mode) -> Result<Hooked> {
        if self.via != Via::Device {
            return Err(skip("the hooks are tested with --via device"));
        }
        need_module()?;
        hooks::hook(mode)
    }

    /// The arguments that give another process the same environment.
    fn args(&self) -> Vec<String> {
        let mut args = vec![
            format!("--via={}", self.via.name()),
            format!("--bpf={}", self.bpf.display()),
            format!("--module={}", self.module.display()),
            format!("--seed={}", self.seed),
        ];
        args.extend(self.whole.then(|| "--whole".to_owned()));
        args
    }
}

fn need_module() -> Result<()> {
    match kmod::is_loaded() {
        true => Ok(()),
        false => Err(skip("rust_fsession.ko is not loaded")),
    }
}

/// Not an error: the test cannot be run here.
#[derive(Debug)]
struct Skip(String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

pub fn skip(reason: impl Into<String>) -> anyhow::Error {
    Skip(reason.into()).into()
}

/// Runs a test in this process and says how it went in the way that
/// `run_apart()` understands: the exit code, and the last line for a skip.
pub fn run_here(test: &Test, env: &Env) -> u8 {
    let result = match env.via {
        Via::Takeover => under_takeover(test, env),
        _ => (test.run)(env),
    };
    let Err(err) = result else {
        return 0;
    };
    match err.downcast_ref::<Skip>() {
        Some(Skip(reason)) => {
            println!("{reason}");
            EXIT_SKIP
        }
        None => {
            println!("{err:#}");
            EXIT_FAIL
        }
    }
}

/// Runs a test with the hooks on, which must have had a part in it.
fn under_takeover(test: &Test, env: &Env) -> Result<()> {
    need_module()?;
    let _hooked = hooks::hook(Mode::Takeover)?;
    let before = Stats::read()?;
    (test.run)(env)?;
    let counted = before.since()?;
    counted.check_clean()?;
    ensure!(counted.get("built")? > 0, "no image was built in Rust");
    Ok(())
}

/// Has this program run the test `name` in a process of its own. Gives what it
/// printed as well.
pub fn run_apart(name: &str, env: &Env, timeout: Duration) -> Result<(Outcome, String)> {
    let mut output = File::from(memfd_create("output", MemfdFlags::CLOEXEC)?);
    let mut child = Command::new("/proc/self/exe")
        .args(env.args())
        .arg(format!("--here={name}"))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .process_group(0)
        .spawn()
        .context("cannot start the test's process")?;

    let status = wait(&mut child, timeout)?;
    output.rewind()?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();

    let outcome = match status {
        None => {
            text += &format!("timed out after {} s", timeout.as_secs());
            if !kill(&mut child)? {
                text += ", and does not die: it hangs in the kernel";
            }
            // It could not do that itself.
            let _ = hooks::write(Mode::Off.name());
            Outcome::Fail
        }
        Some(status) => judge(status, &mut text),
    };
    Ok((outcome, text))
}

fn judge(status: ExitStatus, text: &mut String) -> Outcome {
    match status.code() {
        Some(0) => Outcome::Pass,
        Some(code) if code == i32::from(EXIT_SKIP) => {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            let reason = lines.pop().unwrap_or_default();
            *text = lines.join("\n");
            Outcome::Skip(reason)
        }
        Some(_) => Outcome::Fail,
        None => {
            let signal = status.signal().unwrap_or_default();
            *text += &format!("killed by signal {signal}\n");
            Outcome::Fail
        }
    }
}

/// Waits without `nanosleep()`, which tests trace.
fn wait(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(child.wait()?)),
            Err(Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
}

/// Kills the test and what it started. `false` where it does not go.
fn kill(child: &mut Child) -> Result<bool> {
    let group = Pid::from_child(child);
    // It may have gone by itself meanwhile.
    let _ = kill_process_group(group, Signal::KILL);
    Ok(wait(child, KILL_GRACE)?.is_some())
}
