// SPDX-License-Identifier: GPL-2.0

//! Counts what trampolines cost and prints one document, in a VM that counts
//! instructions.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use clap::Parser;
use figures::document::Who;
use figures::Document;
use runner::bench::calling::Calls;
use runner::bench::module::{self, Module};
use runner::bench::programs::Source;
use runner::bench::{attaching, building, inlining, multi, timing};
use runner::harness::installed;
use runner::hooks::{self, Mode, Stats};
use runner::{kmod, targets};

/// Counts what it costs to build images, to attach programs and to call what they
/// trace, by the kernel's builder and by the module's. What it ends with is JSON.
#[derive(Parser)]
#[command(version, max_term_width = 80)]
struct Args {
    /// Only what `make test` looks at
    #[arg(long)]
    short: bool,

    /// Traces as many functions at once as the kernel lets one, which takes long
    #[arg(long)]
    whole: bool,

    /// Only how long calls take, where the CPU is a real one
    #[arg(long)]
    time: bool,

    /// Where the BPF objects are
    #[arg(long, value_name = "DIR", default_value_os_t = installed("obj"))]
    bpf_dir: PathBuf,

    /// Where the modules are, none of which is loaded
    #[arg(long, value_name = "DIR", default_value_os_t = installed("modules"))]
    modules: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(
        !kmod::is_loaded(),
        "rust_fsession.ko must not be loaded yet"
    );
    load(&args.modules, targets::MODULE)?;
    load(&args.modules, module::MODULE)?;
    let module = Module::open().context("cannot open the benchmark's device")?;
    let mut document = Document {
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        unit: "instructions".to_owned(),
        ..Default::default()
    };
    match args.time {
        true => timing::count(&module, &args.bpf_dir, &mut document)?,
        false => {
            module.check_unit()?;
            count(&args, &module, &mut document)?;
        }
    }
    print!("{}", document.to_json());
    Ok(())
}

/// First without the module, whose hooks stay once they were installed.
fn count(args: &Args, module: &Module, document: &mut Document) -> Result<()> {
    let dir = &args.bpf_dir;
    let source = Source::open(dir)?;
    let target = Source::target(dir, "bpf_fentry_test1")?;
    let mut rows = building::Rows::load(&source, &target, dir, args.short)?;
    let mut calls = Calls::load(module, &source, &target)?;
    let mut attaching = attaching::Rows::default();
    let mut multi = None;
    let mut all = |who: Who| -> Result<()> {
        println!("bench: {}", who.name());
        if who != Who::Device {
            rows.count(module, who)?;
        }
        if args.short {
            return Ok(());
        }
        if [Who::C, Who::Takeover].contains(&who) {
            calls.count(module, who)?;
        }
        attaching.count(&source, &target, who)?;
        if ![Who::C, Who::Takeover, Who::Shadow].contains(&who) {
            return Ok(());
        }
        // Not before something else was counted: it leaves the kernel's memory in pieces.
        if multi.is_none() {
            multi = Some(multi::Rows::load(&source, dir, args.whole)?);
        }
        let rows: Option<&mut multi::Rows> = multi.as_mut();
        rows.map_or(Ok(()), |rows| rows.count(&source, who))
    };
    all(Who::C)?;
    load(&args.modules, "rust_fsession")?;
    let stats = Stats::read()?;
    let hooked = hooks::hook(Mode::Takeover)?;
    all(Who::Takeover)?;
    if !args.short {
        hooked.set(Mode::Off)?;
        all(Who::Off)?;
        all(Who::Device)?;
        hooked.set(Mode::Shadow)?;
        all(Who::Shadow)?;
    }
    drop(hooked);
    stats.since()?.check_clean()?;
    if !args.short {
        calls.write(module, dir, &rows, document)?;
        attaching.write(document);
        inlining::count(module, &source, &target, dir, document)?;
        document.leave_out(
            "when the image of a detached program is freed",
            "it goes after grace periods, in a worker; `waits` is what the caller waits for",
        );
        document.leave_out(
            "describing programs and generating, apart from each other",
            "they are not calls of the kernel's, and the module has no marks between them",
        );
    }
    if let Some(multi) = multi {
        multi.write(document);
    }
    rows.write(document);
    Ok(())
}

fn load(dir: &Path, name: &str) -> Result<()> {
    let path = dir.join(format!("{name}.ko"));
    kmod::load(&path).with_context(|| format!("cannot load {}", path.display()))
}
