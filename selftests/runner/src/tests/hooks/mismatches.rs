// SPDX-License-Identifier: GPL-2.0

//! The files in `mismatches/`: what is in there, and who sees it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{ensure, Context, Result};

use super::super::addresses::Restrict;
use super::super::module::reload;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::hooks::{self, Mode, Stats};
use crate::kallsyms;
use crate::rights::{as_nobody, CapabilitySet};
use crate::workload::bulk::{Bulk, What};
use crate::workload::functions::Functions;

tests! {
    hooks_mismatches: "what differed can be read, here nothing did",
    hooks_mismatches_hidden: "mismatches/ shows addresses to whom kallsyms does",
}

const TARGET: &str = "bpf_fentry_test1";

fn hooks_mismatches(env: &Env) -> Result<()> {
    let _hooked = env.hook(Mode::Off)?;
    let files = hooks::mismatch_files()?;
    check_eq!(files.len(), 16, "files of differences");
    check_eq!(Stats::read()?.get("different")?, 0, "differences");
    for (nr, text) in files.iter().enumerate() {
        check_eq!(text, "", "file {nr}");
    }
    Ok(())
}

/// A module that has counted no differences, when it is dropped.
pub struct Forget<'a>(pub &'a Env);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        reload(self.0).expect("the module can be loaded again");
    }
}

/// Has the Rust builder call another function before the program than C does.
/// The image that C builds is used, so nobody makes that call.
fn differ(env: &Env) -> Result<()> {
    let faults = Faults::load(env)?;
    let functions = Functions::load()?;
    let mut bulk = Bulk::load(&env.bpf)?;
    let before = Stats::read()?;
    faults.inject(Fault {
        function: "bpf_trampoline_enter",
        retval: kallsyms::address_of(TARGET)? as i64,
        times: 1000,
        caller: "rust_fsession",
        ..Default::default()
    })?;
    bulk.attach(What::Fentry, false, functions.named(TARGET)?)??;
    faults.stop()?;
    let counted = before.since()?;
    ensure!(counted.get("different")? > 0, "no difference: {counted}");
    Ok(())
}

/// Words of so many hexadecimal digits are addresses or code.
fn tells(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| word.strip_prefix("0x").unwrap_or(word))
        .any(|word| word.len() > 8 && word.chars().all(|c| c.is_ascii_hexdigit()))
}

fn hooks_mismatches_hidden(env: &Env) -> Result<()> {
    let restrict = Restrict::usual()?;
    let hooked = env.hook(Mode::Off)?;
    reload(env)?;
    let _forget = Forget(env);
    hooked.set(Mode::Shadow)?;
    differ(env)?;
    hooked.set(Mode::Off)?;

    let path = hooks::mismatch_paths()?.into_iter().next();
    let path = path.context("no file in mismatches/")?;
    let expect = |who: &str, file: File, shown: bool| -> Result<()> {
        let text = read(file).with_context(|| format!("cannot read {}", path.display()))?;
        println!("{who}: {}", text.lines().next().unwrap_or_default());
        check_eq!(tells(&text), shown, "addresses or code for {who}");
        for name in ["flags", "arg_sizes", "programs"] {
            ensure!(text.contains(name), "no {name} for {who}: {text}");
        }
        Ok(())
    };
    for (kptr, shown) in [(0, true), (1, true), (2, false)] {
        restrict.kptr(kptr)?;
        expect(&format!("root, {kptr}"), File::open(&path)?, shown)?;
    }
    // Files of root that somebody else may open.
    let others = CapabilitySet::DAC_OVERRIDE;
    for (kptr, caps, shown) in [
        (0, others, false),
        (0, others | CapabilitySet::SYSLOG, true),
        (1, others, false),
        (1, others | CapabilitySet::SYSLOG, true),
        (2, others | CapabilitySet::SYSLOG, false),
    ] {
        restrict.kptr(kptr)?;
        let file = as_nobody(caps, || File::open(&path))??;
        expect(&format!("{caps:?}, {kptr}"), file, shown)?;
    }
    // The opener counts, not the reader.
    restrict.kptr(1)?;
    let file = File::open(&path)?;
    let text = as_nobody(CapabilitySet::empty(), || read(file))??;
    ensure!(tells(&text), "root's file shows nothing to nobody: {text}");
    ensure!(Path::new(hooks::MODE).exists(), "the module has gone");
    Ok(())
}

fn read(mut file: File) -> std::io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}
