// SPDX-License-Identifier: GPL-2.0

//! What a call of a traced function costs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use figures::document::{Calling, Document, Parts, Programs, Who};

use super::building;
use super::module::Module;
use super::programs::{Set, Source, Target};
use crate::bpf;

const COUNTS: [u32; 3] = [1, 4, 18];

/// Beside trampolines: what a row is called, and the programs that it takes.
const OTHERS: [(&str, &[&str]); 8] = [
    ("kprobe", &["kprobe"]),
    ("kretprobe", &["kretprobe"]),
    ("kprobe + kretprobe", &["kprobe", "kretprobe"]),
    ("fprobe, entry", &["kprobe_multi"]),
    ("fprobe, return", &["kretprobe_multi"]),
    (
        "fprobe, entry + return",
        &["kprobe_multi", "kretprobe_multi"],
    ),
    ("kprobe session", &["kprobe_session"]),
    ("kprobe session, cookie", &["kprobe_session_with_cookie"]),
];

pub struct Calls {
    untraced: u64,
    rows: Vec<(Programs, Calling, Set)>,
}

impl Calls {
    pub fn load(module: &Module, source: &Source, target: &Target) -> Result<Self> {
        let mut rows = Vec::new();
        for programs in Programs::ALL {
            for nr in COUNTS {
                let row = Calling {
                    programs: programs.name().to_owned(),
                    nr,
                    bytes: None,
                    cost: BTreeMap::new(),
                };
                rows.push((programs, row, source.set(programs, nr, target)?));
            }
        }
        Ok(Self {
            untraced: module.call()?,
            rows,
        })
    }

    /// Calls through images of who builds them now.
    pub fn count(&mut self, module: &Module, who: Who) -> Result<()> {
        for (_, row, set) in &mut self.rows {
            let links = set.link()?;
            row.cost.insert(who, module.call()? - self.untraced);
            drop(links);
        }
        Ok(())
    }

    /// With what is no trampoline, and with the pieces of a call.
    pub fn write(
        self,
        module: &Module,
        dir: &Path,
        rows: &building::Rows,
        document: &mut Document,
    ) -> Result<()> {
        document.calling.push(Calling {
            programs: "untraced".to_owned(),
            nr: 1,
            bytes: None,
            cost: [(Who::C, self.untraced)].into(),
        });
        for (programs, mut row, set) in self.rows {
            row.bytes = rows.bytes(programs, row.nr);
            if row.nr == 1 {
                // (What is called for both kinds is in the rows of each.)
                if programs != Programs::Both {
                    document.parts.push(parts(module, programs, &set)?);
                }
            }
            document.calling.push(row);
        }
        for (name, programs) in OTHERS {
            match others(module, dir, programs) {
                Ok(call) => document.calling.push(Calling {
                    programs: name.to_owned(),
                    nr: 1,
                    bytes: None,
                    cost: [(Who::C, call - self.untraced)].into(),
                }),
                Err(err) => document.leave_out(name, format!("{err:#}")),
            }
        }
        Ok(())
    }
}

fn parts(module: &Module, programs: Programs, set: &Set) -> Result<Parts> {
    let progs = set.fds();
    let parts = module.parts(progs[0])?;
    Ok(Parts {
        programs,
        enter: parts.enter,
        run: parts.run,
        run_return: parts.run_return,
        exit: parts.exit,
        tramp_enter: parts.tramp_enter,
        tramp_exit: parts.tramp_exit,
    })
}

/// A call with these programs of the object attached.
pub fn others(module: &Module, dir: &Path, programs: &[&str]) -> Result<u64> {
    with_attached(dir, programs, || module.call())
}

/// Attached by libbpf, where the object says.
pub fn with_attached<T>(
    dir: &Path,
    programs: &[&str],
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut open = bpf::open(dir, "bench")?;
    bpf::pick(&mut open, |name| programs.contains(&name));
    let object = open.load().context("cannot load")?;
    let mut links = Vec::new();
    for prog in object.progs_mut().filter(|prog| prog.autoload()) {
        links.push(prog.attach().context("cannot attach")?);
    }
    body()
}
