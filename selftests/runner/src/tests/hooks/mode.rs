// SPDX-License-Identifier: GPL-2.0

//! The file `mode`.

use std::io::Write;

use anyhow::Result;

use crate::harness::Env;
use crate::hooks::{self, Mode};
use crate::rights::{as_nobody, CapabilitySet};

tests! {
    hooks_mode: "mode reads back what was written, and starts as off",
    hooks_mode_rubbish: "EINVAL for anything that is no mode",
    hooks_mode_rights: "the capabilities that opening the device takes",
}

fn hooks_mode(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    for mode in Mode::ALL.into_iter().rev().chain(Mode::ALL) {
        hooked.set(mode)?;
        check_eq!(hooks::mode()?, format!("{}\n", mode.name()), "mode");
        // As `echo` writes it.
        hooks::write(&format!("{}\n", mode.name()))?;
        check_eq!(hooks::mode()?, format!("{}\n", mode.name()), "mode");
    }
    hooked.set(Mode::Takeover)?;
    drop(hooked);
    check_eq!(hooks::mode()?, "off\n", "mode at the end");
    Ok(())
}

fn hooks_mode_rubbish(env: &Env) -> Result<()> {
    let _hooked = env.hook(Mode::Shadow)?;
    let long = "shadow".repeat(4096);
    for rubbish in [
        "\n",
        "on",
        "1",
        "Shadow",
        "shado",
        "shadows",
        "shadow takeover",
        "shadow\ntakeover\n",
        "off\0",
        "\u{fffd}",
        "0123456789abcdef",
        &long,
    ] {
        check_errno!(
            hooks::write(rubbish),
            EINVAL,
            "writing {:?}",
            &rubbish[..rubbish.len().min(20)]
        );
        check_eq!(hooks::mode()?, "shadow\n", "mode after the error");
    }
    Ok(())
}

/// The file belongs to root, so it is opened by root and written to by others.
fn hooks_mode_rights(env: &Env) -> Result<()> {
    const NOTHING: CapabilitySet = CapabilitySet::empty();
    const OTHERS: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::SYS_MODULE);
    let _hooked = env.hook(Mode::Off)?;
    check_errno!(
        as_nobody(NOTHING, || hooks::write("off"))?,
        EACCES,
        "opening mode as nobody"
    );
    let write = |caps, mode: Mode| -> Result<_> {
        let mut file = hooks::open()?;
        as_nobody(caps, move || file.write_all(mode.name().as_bytes()))
    };
    for caps in [NOTHING, CapabilitySet::BPF, CapabilitySet::PERFMON, OTHERS] {
        for mode in Mode::ALL {
            check_errno!(write(caps, mode)?, EPERM, "writing with {caps:?}");
        }
        check_eq!(hooks::mode()?, "off\n", "mode after the error");
    }
    for caps in [
        CapabilitySet::BPF | CapabilitySet::PERFMON,
        CapabilitySet::SYS_ADMIN,
    ] {
        for mode in [Mode::Shadow, Mode::Takeover, Mode::Off] {
            write(caps, mode)??;
            check_eq!(hooks::mode()?, format!("{}\n", mode.name()), "mode");
        }
    }
    Ok(())
}
