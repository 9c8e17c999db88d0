// SPDX-License-Identifier: GPL-2.0

//! `fsession attach`: the programs of an object file on Rust-built images.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{bail, ensure, Context, Result};
use libbpf_rs::ObjectBuilder;
use runner::bpf;
use runner::device::Device;
use std::os::fd::AsFd;

use crate::{explain, open, show};

#[derive(clap::Args)]
pub struct Args {
    /// BPF object, with sections such as fsession/vfs_read
    object: PathBuf,

    /// Programs in it [default: all]
    programs: Vec<String>,

    /// What bpf_get_attach_cookie() returns
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    cookie: u64,
}

pub fn run(args: &Args) -> Result<()> {
    let path = args.object.display();
    let mut object = ObjectBuilder::default()
        .open_file(&args.object)
        .with_context(|| format!("cannot open {path}"))?;
    bpf::pick(&mut object, |name| {
        args.programs.is_empty() || args.programs.iter().any(|wanted| wanted == name)
    });

    // A section such as fsession/vfs_read names the function.
    let mut targets = Vec::new();
    for prog in object.progs().filter(|prog| prog.autoload()) {
        let name = prog.name().to_string_lossy().into_owned();
        let section = prog.section().to_string_lossy().into_owned();
        let Some((_, target)) = section.split_once('/') else {
            bail!("program {name}: section {section} names no function");
        };
        targets.push((name, target.to_owned()));
    }
    for wanted in &args.programs {
        ensure!(
            targets.iter().any(|(name, _)| name == wanted),
            "{path} has no program {wanted}"
        );
    }
    ensure!(!targets.is_empty(), "{path} has no programs");

    let object = object
        .load()
        .with_context(|| format!("cannot load {path}"))?;
    // The first program fixes a trampoline's function.
    let mut trampolines: BTreeMap<String, Device> = BTreeMap::new();
    for (name, target) in targets {
        let prog = bpf::fd(&object, &name)?;
        if !trampolines.contains_key(&target) {
            trampolines.insert(target.clone(), open()?);
        }
        let added = trampolines[&target].add(prog.as_fd(), args.cookie);
        explain(added, &format!("{name} to {target}"))?;
    }

    show::trampoline_header();
    for device in trampolines.values() {
        show::trampoline(&device.info()?);
    }
    println!("\nAttached until this is interrupted (Ctrl-C).");
    // The kernel detaches when the descriptors go, however that happens.
    loop {
        std::thread::park();
    }
}
