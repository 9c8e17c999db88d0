// SPDX-License-Identifier: GPL-2.0

//! `fsession attach`: the programs of an object file, until it is interrupted.

use std::collections::btree_map::{BTreeMap, Entry};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{bail, ensure, Context, Result};
use libbpf_rs::ObjectBuilder;
use uapi::device::Device;

use crate::{look, module};

const EXAMPLES: &str = "\
Examples:
  fsession attach prog.bpf.o            all programs of the object
  fsession attach prog.bpf.o on_read    one of them

  fsession attach prog.bpf.o --link     by BPF links, without the module";

/// Attaches the programs of an object file until it is interrupted
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// BPF object, with sections such as fsession/vfs_read
    object: PathBuf,

    /// Programs in it [default: all]
    programs: Vec<String>,

    /// What bpf_get_attach_cookie() returns
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        conflicts_with = "link"
    )]
    cookie: u64,

    /// By BPF links, on images of the kernel
    #[arg(long)]
    link: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        attach(&self)
    }
}

fn attach(args: &Args) -> Result<ExitCode> {
    let path = args.object.display();
    let mut object = ObjectBuilder::default()
        .open_file(&args.object)
        .with_context(|| format!("cannot open {path}"))?;

    // A section such as fsession/vfs_read names the function.
    let mut targets = BTreeMap::new();
    for mut prog in object.progs_mut() {
        let name = prog.name().to_string_lossy().into_owned();
        let wanted = args.programs.is_empty() || args.programs.contains(&name);
        prog.set_autoload(wanted);
        if !wanted {
            continue;
        }
        let section = prog.section().to_string_lossy().into_owned();
        let Some((_, target)) = section.split_once('/') else {
            bail!("program {name}: section {section} names no function");
        };
        targets.insert(name, target.to_owned());
    }
    for wanted in &args.programs {
        ensure!(
            targets.contains_key(wanted),
            "{path} has no program {wanted}"
        );
    }
    ensure!(!targets.is_empty(), "{path} has no programs");

    let object = object
        .load()
        .with_context(|| format!("cannot load {path}"))?;
    if args.link {
        let mut links = Vec::new();
        for prog in object.progs_mut().filter(|prog| prog.autoload()) {
            let name = prog.name().to_string_lossy().into_owned();
            let link = prog.attach();
            links.push(link.with_context(|| format!("cannot attach {name}"))?);
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "{} programs.", links.len())?;
        return stay(out);
    }
    // The first program fixes a trampoline's function.
    let mut trampolines: BTreeMap<String, Device> = BTreeMap::new();
    for prog in object.progs() {
        let name = prog.name().to_string_lossy().into_owned();
        let Some(target) = targets.get(&name) else {
            continue;
        };
        let device = match trampolines.entry(target.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(module::open()?),
        };
        let added = device.add(prog.as_fd(), args.cookie);
        module::explain(added, &format!("{name} to {target}"))?;
    }

    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", look::trampoline_header())?;
    for device in trampolines.values() {
        writeln!(out, "{}", look::trampoline(&device.info()?))?;
    }
    stay(out)
}

/// The kernel detaches when the descriptors go, however that happens.
fn stay(mut out: impl Write) -> Result<ExitCode> {
    writeln!(out, "\nAttached until this is interrupted (Ctrl-C).")?;
    out.flush()?;
    drop(out);
    loop {
        std::thread::park();
    }
}
