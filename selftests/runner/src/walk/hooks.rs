// SPDX-License-Identifier: GPL-2.0

//! The walks of the hooks, and of the module's init and exit.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{ensure, Context, Result};
use libc::{EFAULT, ENOMEM};

use super::ops::{expect, World, MOST};
use super::{walk, Nth, Report, Scope};
use crate::bpf;
use crate::device::{Device, PATH};
use crate::hooks::{self, Mode, Stats};
use crate::kallsyms;
use crate::kmod;
use crate::probe::{Kind, Spec};
use crate::tests::module::{reload, unload};

/// What all of them trace.
const TARGET: &str = "bpf_fentry_test1";

impl World<'_> {
    /// The hooks: installing them, and what goes through them.
    pub fn hook_walks(&self, nth: &Nth) -> Result<Vec<Report>> {
        let mut reports = Vec::new();
        let installed = Cell::new(true);
        reports.push(walk(
            nth,
            "mode, hooks installed",
            MOST,
            || {
                // Hooks that could not be installed are in nobody's way.
                if installed.take() {
                    reload(self.env)?;
                }
                Ok(hooks::open()?)
            },
            |file| file.write_all(b"takeover"),
            |_, result| {
                expect(result, &[ENOMEM, EFAULT])?;
                let mode = if result.is_ok() {
                    "takeover\n"
                } else {
                    "off\n"
                };
                ensure!(hooks::mode()? == mode, "mode is {:?}", hooks::mode());
                installed.set(result.is_ok());
                self.link_and_unlink(result.is_ok())?;
                Ok(hooks::write("off")?)
            },
        )?);
        let module = module_text()?;
        for mode in [Mode::Takeover, Mode::Shadow] {
            let hooked = hooks::hook(mode)?;
            let before = Stats::read()?;
            nth.scope(module)?;
            let link = walk(
                nth,
                &format!("link, {}", mode.name()),
                MOST,
                || Ok(()),
                |()| bpf::link(self.first.fd(), Kind::Session.attach_type(), 0),
                |(), result| {
                    expect(result, &[ENOMEM])?;
                    self.check_runs(result.is_ok(), false)
                },
            );
            let load = walk(
                nth,
                &format!("load, {}", mode.name()),
                MOST,
                || Ok(()),
                |()| {
                    let spec = Spec::new(Kind::Session, TARGET).quiet().cookie();
                    self.log.load(spec).map_err(io::Error::other)
                },
                |(), result| {
                    let Ok(session) = result else {
                        return Ok(());
                    };
                    let device = Device::open()?;
                    device.add(session.fd(), 0)?;
                    session.test_run()?;
                    ensure!(session.hits()?.ret == 1, "the session does not run");
                    Ok(())
                },
            );
            nth.scope(Scope::All)?;
            reports.extend([link?, load?]);
            let counted = before.since()?;
            println!("  {counted}");
            ensure!(counted.get("different")? == 0, "the builders differ");
            drop(hooked);
        }
        Ok(reports)
    }

    /// The module's init and exit.
    pub fn module_walks(&self, nth: &Nth) -> Result<Vec<Report>> {
        let init = kallsyms::address_of("do_one_initcall")?;
        let mut reports = Vec::new();
        // Before and after that, the kernel's loader of modules is at work. A module that
        // was not loaded is out of the way; the last round shows that it can be loaded.
        nth.scope(Scope::Below(init, init + 0x400))?;
        let walked = walk(
            nth,
            "module init",
            MOST,
            || match kmod::is_loaded() {
                true => unload(),
                false => Ok(()),
            },
            |()| kmod::load(&self.env.module),
            |(), result| {
                expect(result, &[ENOMEM])?;
                if result.is_err() {
                    ensure!(!kmod::is_loaded(), "the module is there");
                    ensure!(!Path::new(PATH).exists(), "the device is there");
                    let files = Path::new(hooks::MODE);
                    ensure!(!files.exists(), "its files are there");
                    return Ok(());
                }
                self.attach_and_detach()
            },
        );
        nth.scope(Scope::All)?;
        reports.push(walked?);
        reload(self.env)?;
        reports.push(walk(
            nth,
            "module exit",
            MOST,
            || {
                if !kmod::is_loaded() {
                    kmod::load(&self.env.module)?;
                    hooks::write("shadow")?;
                }
                crate::tests::wait_for("the module is not in use", || Ok(kmod::references()? == 0))
            },
            |()| kmod::unload(),
            |(), result| {
                // The name of the module may be out of reach.
                expect(result, &[EFAULT, ENOMEM])?;
                ensure!(
                    result.is_ok() != kmod::is_loaded(),
                    "{result:?}, and it is there"
                );
                Ok(())
            },
        )?);
        if !kmod::is_loaded() {
            kmod::load(&self.env.module)?;
        }
        Ok(reports)
    }
}

/// Where the module's code is.
fn module_text() -> Result<Scope> {
    let path = "/sys/module/rust_fsession/sections/.text";
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let start = u64::from_str_radix(text.trim().trim_start_matches("0x"), 16)?;
    Ok(Scope::Below(start, start + 0x40_0000))
}
