// SPDX-License-Identifier: GPL-2.0

//! `kernel.ftrace_enabled` and the hooks, which are nothing without ftrace.

use anyhow::{Context, Result};

use super::super::sysctl::{expect_refused, Ftrace};
use super::expect_works;
use crate::harness::Env;
use crate::hooks::{self, Mode};

tests! {
    hooks_sysctl_refused: "ftrace stays on in every mode but off",
    hooks_sysctl_off: "no mode but off while ftrace is off"
        warns ["cannot hook the C builder: EBUSY"],
}

fn hooks_sysctl_refused(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Shadow)?;
    for mode in [Mode::Shadow, Mode::Takeover] {
        hooked.set(mode)?;
        expect_refused()?;
        expect_works(env, &hooked, mode)?;
    }
    Ok(())
}

fn hooks_sysctl_off(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    let off = Ftrace::off()?;
    for mode in [Mode::Shadow, Mode::Takeover] {
        check_errno!(hooks::write(mode.name()), EBUSY, "setting {mode:?}");
        check_eq!(hooks::mode()?, "off\n", "mode after the error");
    }
    hooked.set(Mode::Off)?;
    off.on().context("cannot turn ftrace on again")?;
    for mode in Mode::ALL {
        expect_works(env, &hooked, mode)?;
    }
    Ok(())
}
