// SPDX-License-Identifier: GPL-2.0

//! BPF programs as targets, which only links can have.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::Result;

use crate::bpf;
use crate::harness::Env;
use crate::workload::{nested, Report};

/// By the module's device.
pub mod device {
    use super::*;

    tests! {
        bpf_target_refused: "EOPNOTSUPP for programs on a BPF program",
    }

    fn bpf_target_refused(env: &Env) -> Result<()> {
        let device = env.device()?;
        let mains = bpf::open(&env.bpf, "nested")?.load()?;
        let target = bpf::fd(&mains, "main_plain")?;
        let mut object = bpf::open(&env.bpf, "nesting")?;
        let names = [
            "main_plain_fentry",
            "main_plain_fexit",
            "main_plain_session",
        ];
        bpf::pick(&mut object, |prog| names.contains(&prog));
        for mut prog in object.progs_mut().filter(|prog| prog.autoload()) {
            prog.set_attach_target(target.as_raw_fd(), Some("main_plain".to_owned()))?;
        }
        let object = object.load()?;
        for name in names {
            let prog = bpf::fd(&object, name)?;
            check_errno!(device.add(prog.as_fd(), 0), EOPNOTSUPP, "adding {name}");
        }
        check_eq!(device.info()?.nr_progs(), 0, "programs after the errors");
        Ok(())
    }
}

/// By BPF links.
pub mod link {
    use super::*;

    tests! {
        bpf_targets: "programs, functions, tail calls and replacements",
    }

    fn bpf_targets(env: &Env) -> Result<()> {
        nested::run(env, &mut Report::default())
    }
}
