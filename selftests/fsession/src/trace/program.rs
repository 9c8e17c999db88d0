// SPDX-License-Identifier: GPL-2.0

//! The session in `bpf/trace.bpf.c`: one object, and a copy of its program for each function.

use std::collections::HashMap;
use std::ffi::{c_char, CStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{anyhow, ensure, Context, Result};
use libbpf_rs::{Link, MapCore, MapFlags, Object, ObjectBuilder, OpenObject};
use libbpf_sys as sys;
use rustix::process::{getpid, pidfd_open, PidfdFlags};

use super::hist::Histogram;
use super::record::{Config, Counts, FunctionConfig, BUCKETS, MARK_OWN};
use crate::kernel::btf::{Btf, Function};
use crate::kernel::objects::own;
use crate::kernel::progs::prog_info;

/// Aligned, as libelf takes it where it is.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/trace.bpf.o")));

const SESSION: &str = "session";
/// What the session is loaded for first. Every kernel has it, and it can be traced.
const ANY_FUNCTION: &str = "vfs_read";
/// In kernels that have sessions of functions, this takes the context. Before, it takes nothing,
/// and is for sessions of kprobes.
const SESSION_KFUNC: &str = "bpf_session_is_return";
const LOG_BYTES: usize = 1 << 20;

pub struct Program {
    object: Object,
    /// Descriptors of BTF objects of modules.
    btf_fds: HashMap<u32, OwnedFd>,
    /// The tracepoints that follow a command's children.
    _links: Vec<Link>,
}

impl Program {
    /// Loads the session for `functions`. The order of `functions` gives each its number.
    ///
    /// # Errors
    ///
    /// The kernel has no sessions, or does not let the caller have them.
    pub fn load(
        btf: &Btf,
        config: Config,
        functions: &[FunctionConfig],
        buffer: u32,
    ) -> Result<Self> {
        let kfuncs = btf.find(SESSION_KFUNC)?;
        let takes_context =
            |kfunc: &Function| -> Result<bool> { Ok(btf.prototype(kfunc)?.args.len() == 1) };
        ensure!(
            kfuncs.first().map_or(Ok(false), takes_context)?,
            "Linux {} has no BPF sessions of functions: they came with Linux 7.0",
            rustix::system::uname().release().to_string_lossy()
        );
        let _quiet = Quiet::new();
        let mut open = ObjectBuilder::default()
            .name("fsession_trace")?
            .open_memory(&OBJECT.0)
            .context("the session is broken")?;
        set_config(&mut open, &config)?;
        let count = u32::try_from(functions.len())?;
        for mut map in open.maps_mut() {
            match map.name().to_str() {
                Some("records") => map.set_max_entries(buffer)?,
                Some("functions") => map.set_max_entries(count)?,
                Some("histogram") => map.set_max_entries(match config.histogram {
                    0 => 1,
                    _ => count * BUCKETS as u32,
                })?,
                _ => (),
            }
        }
        for mut prog in open.progs_mut() {
            match prog.name().to_str() {
                Some(SESSION) => prog.set_attach_target(0, Some(ANY_FUNCTION.into()))?,
                _ => prog.set_autoload(config.follow != 0),
            }
        }
        let object = open.load().map_err(explain_load)?;
        let mut program = Self {
            object,
            btf_fds: HashMap::new(),
            _links: Vec::new(),
        };
        program.set_functions(functions)?;
        program.mark_own()?;
        if config.follow != 0 {
            for prog in program.object.progs_mut() {
                if prog.name() != SESSION {
                    program
                        ._links
                        .push(prog.attach().context("cannot follow children")?);
                }
            }
        }
        Ok(program)
    }

    fn map(&self, name: &str) -> Result<libbpf_rs::Map<'_>> {
        self.object
            .maps()
            .find(|map| map.name().to_string_lossy().ends_with(name))
            .with_context(|| format!("the session has no map {name}"))
    }

    pub fn records(&self) -> Result<libbpf_rs::Map<'_>> {
        self.map("records")
    }

    fn set_functions(&self, functions: &[FunctionConfig]) -> Result<()> {
        let map = self.map("functions")?;
        for (number, function) in (0u32..).zip(functions) {
            map.update(
                &number.to_ne_bytes(),
                bytemuck::bytes_of(function),
                MapFlags::ANY,
            )?;
        }
        Ok(())
    }

    /// What this process does is not traced. It has only this thread so far.
    fn mark_own(&self) -> Result<()> {
        let own = pidfd_open(getpid(), PidfdFlags::empty()).context("cannot open this process")?;
        let key = own.as_raw_fd().to_ne_bytes();
        self.map("marks")?
            .update(&key, &MARK_OWN.to_ne_bytes(), MapFlags::ANY)
            .context("cannot mark this process")
    }

    /// Records that found no room.
    pub fn counts(&self) -> Result<Counts> {
        let data = self
            .map(".bss.counts")?
            .lookup(&0u32.to_ne_bytes(), MapFlags::ANY)?;
        let data = data.context("the session has no counts")?;
        data.get(..size_of::<Counts>())
            .map(bytemuck::pod_read_unaligned)
            .context("the session has other counts")
    }

    pub fn histogram(&self, function: usize) -> Result<Histogram> {
        let map = self.map("histogram")?;
        let mut histogram = [0; BUCKETS];
        for (nr, count) in histogram.iter_mut().enumerate() {
            let key = u32::try_from(function * BUCKETS + nr)?;
            let value = map.lookup(&key.to_ne_bytes(), MapFlags::ANY)?;
            if let Some(value) = value.as_deref().and_then(|value| value.try_into().ok()) {
                *count = u64::from_ne_bytes(value);
            }
        }
        Ok(histogram)
    }

    /// A copy of the session for one function.
    pub fn copy_for(&mut self, function: &Function) -> Result<OwnedFd> {
        let object_fd = match function.module {
            None => 0,
            Some(_) => self.btf_fd(function.object)?,
        };
        let session = self.object.progs().find(|prog| prog.name() == SESSION);
        let insns = session.context("the session is missing")?.insns();
        let mut log = Vec::new();
        let first = load_copy(insns, object_fd, function.type_id, &mut log);
        let Err(err) = first else {
            return Ok(first?);
        };
        // Once more, to be told why.
        log.resize(LOG_BYTES, 0);
        let again = load_copy(insns, object_fd, function.type_id, &mut log);
        match again {
            Ok(fd) => Ok(fd),
            Err(_) => Err(match last_line(&log) {
                Some(why) => anyhow!("{}: {why} ({})", function.name, os_text(&err)),
                None => anyhow!("{}: {}", function.name, os_text(&err)),
            }),
        }
    }

    fn btf_fd(&mut self, object: u32) -> Result<i32> {
        if let Some(fd) = self.btf_fds.get(&object) {
            return Ok(fd.as_raw_fd());
        }
        // SAFETY: The call has no pointers.
        let fd = unsafe { sys::bpf_btf_get_fd_by_id(object) };
        let fd = own(fd).with_context(|| format!("cannot open BTF object {object}"))?;
        let number = fd.as_raw_fd();
        self.btf_fds.insert(object, fd);
        Ok(number)
    }
}

fn load_copy(
    insns: &[sys::bpf_insn],
    btf_fd: i32,
    btf_id: u32,
    log: &mut Vec<u8>,
) -> io::Result<OwnedFd> {
    let mut opts = sys::bpf_prog_load_opts {
        sz: size_of::<sys::bpf_prog_load_opts>() as _,
        expected_attach_type: sys::BPF_TRACE_FSESSION,
        attach_btf_id: btf_id,
        attach_btf_obj_fd: btf_fd.unsigned_abs(),
        ..Default::default()
    };
    if !log.is_empty() {
        opts.log_level = 1;
        opts.log_size = u32::try_from(log.len()).unwrap_or(u32::MAX);
        opts.log_buf = log.as_mut_ptr().cast::<c_char>();
    }
    // SAFETY: Both strings end with 0, `insns` and `log` are as long as the call is told, and all
    // of it outlives the call.
    let fd = unsafe {
        sys::bpf_prog_load(
            sys::BPF_PROG_TYPE_TRACING,
            c"session".as_ptr(),
            c"GPL".as_ptr(),
            insns.as_ptr(),
            insns.len() as _,
            &mut opts,
        )
    };
    own(fd)
}

/// How often the kernel has not run a program, as it was running on that CPU already.
pub fn misses(prog: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = sys::bpf_prog_info::default();
    // SAFETY: `info` has no pointers.
    unsafe { prog_info(&prog, &mut info) }?;
    Ok(info.recursion_misses)
}

fn set_config(open: &mut OpenObject, config: &Config) -> Result<()> {
    let mut map = open
        .maps_mut()
        .find(|map| map.name().to_string_lossy().ends_with(".rodata.config"))
        .context("the session has no configuration")?;
    let data = map
        .initial_value_mut()
        .context("the configuration is no data")?;
    let own = bytemuck::bytes_of(config);
    data.get_mut(..own.len())
        .context("the session has another configuration")?
        .copy_from_slice(own);
    Ok(())
}

fn explain_load(err: libbpf_rs::Error) -> anyhow::Error {
    match err.kind() {
        libbpf_rs::ErrorKind::PermissionDenied => anyhow!(
            "the kernel does not allow it: tracing takes root, or CAP_BPF and CAP_PERFMON \
             (try sudo)"
        ),
        _ => anyhow!("the kernel does not load the session: {err}"),
    }
}

/// The last thing that the verifier had to say.
fn last_line(log: &[u8]) -> Option<String> {
    let text = CStr::from_bytes_until_nul(log).ok()?.to_string_lossy();
    let line = text
        .lines()
        .rfind(|line| !line.trim().is_empty() && !line.starts_with("processed "))?;
    Some(line.trim().to_owned())
}

/// An error without Rust's `(os error 22)`.
pub fn os_text(err: &io::Error) -> String {
    let text = err.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

/// Keeps libbpf from talking: what it would say is in the errors.
struct Quiet(Option<(libbpf_rs::PrintLevel, libbpf_rs::PrintCallback)>);

impl Quiet {
    fn new() -> Self {
        Self(libbpf_rs::set_print(None))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        libbpf_rs::set_print(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_says_why_in_the_end() {
        let log = b"0: R1=ctx()\nAttaching to it is rejected.\nprocessed 0 insns\n\n\0\0";
        assert_eq!(
            last_line(log).as_deref(),
            Some("Attaching to it is rejected.")
        );
        assert_eq!(last_line(b"processed 0 insns\n\0"), None);
        assert_eq!(last_line(b"no end"), None);
    }

    #[test]
    fn errors_are_told_without_their_number() {
        assert_eq!(
            os_text(&io::Error::from_raw_os_error(22)),
            "Invalid argument"
        );
    }
}
