// SPDX-License-Identifier: GPL-2.0

//! All trampolines of the running kernel, as a document.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use trampoline::document::{Dump, Hex, Kind, Module, Owner, Trampoline};
use uapi::abi;

use super::btf::Btf;
use super::kallsyms::{self, Image, Kallsyms};
use super::kcore::Kcore;
use super::owners::{Descriptor, Owners};
use super::progs::Progs;
use super::struct_ops::Tables;
use super::target::{Key, Targets};
use super::{host, image};

/// A link to many functions.
const MULTI: &str = "tracing_multi";

/// A trampoline that is gone by the time it is read is left out. What cannot be known is None.
///
/// Progress is shown on standard error, where that is a terminal.
///
/// # Errors
///
/// The kernel does not show its symbols, its memory, its programs, or has no BTF.
pub fn dump() -> Result<Dump> {
    let mut dump = Dump::new(host::host());
    let progress = Progress::new("symbols");
    let kallsyms = Kallsyms::load()?;
    let images = kallsyms.images();
    if images.is_empty() {
        return Ok(dump);
    }
    let kcore = Kcore::open()?;
    progress.say("programs");
    let progs = Progs::load()?;
    progress.say("links of processes");
    let owners = Owners::load()?;
    progress.say("types");
    let btf = Btf::load()?;
    let snapshot = Snapshot {
        targets: Targets {
            btf: &btf,
            kallsyms: &kallsyms,
            progs: &progs,
        },
        tables: Tables::load(&btf, &owners, &images),
        owners: &owners,
        kcore: &kcore,
    };

    progress.count(images.len());
    for image in &images {
        dump.trampolines.extend(snapshot.trampoline(image));
        progress.step();
    }

    // What has gone meanwhile may have left its place to something else.
    progress.say("symbols again");
    let still: BTreeSet<_> = Kallsyms::load()?
        .images()
        .into_iter()
        .map(|image| (image.addr, image.symbol))
        .collect();
    dump.trampolines
        .retain(|it| still.contains(&(it.addr.0, it.symbol.clone())));
    Ok(dump)
}

struct Snapshot<'a> {
    targets: Targets<'a>,
    tables: Tables,
    owners: &'a Owners,
    kcore: &'a Kcore,
}

impl Snapshot<'_> {
    /// None where it is gone, or is no image any more.
    fn trampoline(&self, image: &Image) -> Option<Trampoline> {
        let descriptors: Vec<&Descriptor> = self
            .owners
            .descriptors
            .iter()
            .filter(|it| image.kind == Kind::Device && it.info.image_addr == image.addr)
            .collect();
        let code = match descriptors.first() {
            // Where the module tells, nothing has to be guessed.
            Some(descriptor) if !descriptor.code.is_empty() => descriptor.code.clone(),
            _ => {
                let mut code = self.kcore.read(image.addr, image.room as usize).ok()?;
                code.truncate(image::len(&code, image.addr)?);
                code
            }
        };
        let references = image::references(&code, image.addr);
        let kallsyms = self.targets.kallsyms;
        let progs: Vec<_> = references
            .iter()
            .filter_map(|addr| self.targets.progs.at(*addr))
            .collect();
        let target = match image.kind {
            Kind::Kernel => image
                .key
                .and_then(|key| self.targets.of_key(key.into(), &references)),
            Kind::Device => {
                let addr = descriptors.first().map(|it| it.info.target_addr);
                let name = match descriptors.first() {
                    Some(descriptor) => Some(descriptor.info.target()),
                    None => kallsyms::device_target(&image.symbol),
                };
                let addr = addr.filter(|addr| *addr != 0);
                name.map(|name| self.targets.of_name(name, addr, &references))
            }
            Kind::StructOps => kallsyms::struct_ops_member(&image.symbol)
                .and_then(|name| self.targets.of_member(name)),
        };
        let owners = match image.kind {
            Kind::Kernel => image
                .key
                .map_or_else(Vec::new, |key| self.owners_of_key(key)),
            Kind::Device => descriptors.iter().map(|it| owner(it)).collect(),
            Kind::StructOps => {
                let ids = progs.iter().map(|prog| prog.id);
                ids.flat_map(|id| self.tables.owners(&image.symbol, id))
                    .collect()
            }
        };
        let symbols: BTreeMap<Hex, String> = references
            .iter()
            .filter_map(|addr| Some((Hex(*addr), kallsyms.name(*addr)?)))
            .collect();
        Some(Trampoline {
            symbol: image.symbol.clone(),
            kind: image.kind,
            key: image.key,
            addr: Hex(image.addr),
            target,
            programs: progs.iter().map(|prog| prog.document(kallsyms)).collect(),
            owners: sorted(owners),
            symbols,
            module: descriptors.first().map(|it| module(it)),
            code,
        })
    }

    /// The owners of the links to what has this key.
    fn owners_of_key(&self, key: u64) -> Vec<Owner> {
        let (object, type_id, of_btf) = match Key::from(key) {
            Key::Btf { object, type_id } => (object, type_id, true),
            Key::Program { id, type_id } => (id, type_id, false),
        };
        self.owners
            .links()
            .filter(|link| link.targets.contains(&(object, type_id)))
            .filter(|link| {
                // A link does not say whether its target is a BTF object's or a program's. Its
                // program does: one that was made for a function of the kernel keeps saying so,
                // one for a function of a program does not. Links to many are to the kernel's.
                let prog = link.program.and_then(|id| self.targets.progs.get(id));
                let attach_object = prog.map_or(0, |prog| prog.attach_object);
                let is_of_btf = link.kind == MULTI || self.targets.btf.is_of_kernel(attach_object);
                is_of_btf == of_btf
            })
            .flat_map(|link| self.owners.of(link))
            .collect()
    }
}

fn sorted(owners: Vec<Owner>) -> Vec<Owner> {
    let owners: BTreeSet<_> = owners.into_iter().collect();
    owners.into_iter().collect()
}

fn owner(descriptor: &Descriptor) -> Owner {
    Owner {
        pid: Some(descriptor.process.pid),
        comm: descriptor.process.comm.clone(),
        link: None,
        program: None,
    }
}

fn module(descriptor: &Descriptor) -> Module {
    let info = &descriptor.info;
    Module {
        flags: info.flags,
        generation: info.generation,
        identical: match info.reference {
            abi::REFERENCE_IDENTICAL => Some(true),
            abi::REFERENCE_DIFFERENT => Some(false),
            _ => None,
        },
    }
}

/// On standard error, and only on a terminal. It goes when it is dropped.
struct Progress(ProgressBar);

impl Progress {
    fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner();
        let progress = Self(bar);
        progress.say(what);
        progress
            .0
            .enable_steady_tick(std::time::Duration::from_millis(100));
        progress
    }

    fn say(&self, what: &'static str) {
        self.0.set_message(format!("reading {what}"));
    }

    fn count(&self, len: usize) {
        self.0.set_length(len as u64);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos}/{len}") {
            self.0.set_style(style);
        }
        self.say("images");
    }

    fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
