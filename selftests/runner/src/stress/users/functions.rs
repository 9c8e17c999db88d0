// SPDX-License-Identifier: GPL-2.0

//! The functions that users put programs on. None of them calls itself.

use std::os::fd::BorrowedFd;

use anyhow::{Context, Result};
use libbpf_rs::btf::types::Func;
use libbpf_rs::btf::Btf;
use rustix::process::{getpgid, getsid};

use crate::bpf;

/// Who may put programs there: the module's device and the kernel's own trampolines
/// exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Device,
    Links,
    /// Both want it.
    Contested,
    /// That of one actor.
    Own,
}

/// How a process calls the function once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Getpgid,
    Getsid,
    /// `BPF_PROG_TEST_RUN` of a tracing program.
    TestRun,
    /// Others do.
    No,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub name: &'static str,
    pub whose: Whose,
    pub call: Call,
    /// Whether sleepable programs may be there.
    pub sleepable: bool,
    /// Number in the kernel's BTF.
    pub id: u32,
}

impl Function {
    /// Calls it, with the help of a tracing program where that is what it takes.
    pub fn call(&self, prog: BorrowedFd<'_>) -> Result<()> {
        match self.call {
            Call::Getpgid => drop(getpgid(None)?),
            Call::Getsid => drop(getsid(None)?),
            Call::TestRun => drop(bpf::test_run(prog)?),
            Call::No => (),
        }
        Ok(())
    }
}

const ALL: &[(&str, Whose, Call, bool)] = &[
    ("__x64_sys_getpgid", Whose::Device, Call::Getpgid, true),
    ("bpf_fentry_test1", Whose::Device, Call::TestRun, false),
    ("bpf_fentry_test2", Whose::Device, Call::TestRun, false),
    ("bpf_fentry_test3", Whose::Device, Call::TestRun, false),
    ("vfs_read", Whose::Device, Call::No, false),
    ("eventfd_read", Whose::Device, Call::No, false),
    ("__x64_sys_getsid", Whose::Links, Call::Getsid, true),
    ("bpf_fentry_test4", Whose::Links, Call::TestRun, false),
    ("bpf_fentry_test5", Whose::Links, Call::TestRun, false),
    ("bpf_fentry_test6", Whose::Links, Call::TestRun, false),
    ("vfs_write", Whose::Links, Call::No, false),
    ("anon_pipe_read", Whose::Links, Call::No, false),
    ("__x64_sys_ppoll", Whose::Own, Call::No, true),
    ("__x64_sys_umask", Whose::Own, Call::No, true),
    ("bpf_fentry_test9", Whose::Own, Call::TestRun, false),
    ("__x64_sys_getpriority", Whose::Own, Call::No, true),
    ("bpf_lsm_socket_create", Whose::Own, Call::No, true),
    ("__x64_sys_sysinfo", Whose::Own, Call::No, true),
    ("__x64_sys_poll", Whose::Own, Call::No, true),
    ("__x64_sys_times", Whose::Own, Call::No, true),
    ("__x64_sys_setfsuid", Whose::Own, Call::No, true),
    ("__x64_sys_setfsgid", Whose::Own, Call::No, true),
    ("__x64_sys_alarm", Whose::Own, Call::No, true),
    ("bpf_fentry_test7", Whose::Contested, Call::TestRun, false),
    ("bpf_fentry_test8", Whose::Contested, Call::TestRun, false),
];

/// Those that this kernel has.
pub fn load() -> Result<Vec<Function>> {
    let btf = Btf::from_vmlinux().context("the kernel has no BTF")?;
    // Once through all of them: by name it would be once for each.
    let found = btf.type_by_kind::<Func<'_>>().filter_map(|func| {
        let given = func.name()?.to_str()?;
        let (name, whose, call, sleepable) = ALL.iter().find(|(name, ..)| *name == given)?;
        Some(Function {
            name,
            whose: *whose,
            call: *call,
            sleepable: *sleepable,
            id: func.type_id().into(),
        })
    });
    Ok(found.collect())
}
