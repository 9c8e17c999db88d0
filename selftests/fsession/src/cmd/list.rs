// SPDX-License-Identifier: GPL-2.0

//! `fsession list`: which trampolines there are.

mod json;
mod table;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use trampoline::document::{Program, Trampoline};
use trampoline::reading::Reading;

use crate::cmd::dump;
use crate::pattern::Pattern;
use crate::screen;

/// Lists the trampolines of the system
///
/// A trampoline is what the kernel calls in place of a traced function: it calls the programs.
/// Listed are those of BPF links, of struct_ops, and of /dev/rust_fsession.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fsession list
  fsession list --target 'vfs_*' --sort size
  fsession list --pid 1234 --json
  fsession list --from dump.json

--json prints an array with an object a trampoline:
  target    name of the traced function, null where it is not known
  module    kernel module that has it, null for the kernel itself
  target_program
            number of the BPF program that has it, null for the kernel
  kind      kernel (of BPF links), struct_ops, or device (of the module)
  key       number in the kernel's name of the image, or null
  symbol    the kernel's name of the image
  address   of the image, in hexadecimal (\"0x...\")
  size      of the image, in bytes
  programs  array of {id, name, tag, type, entry, roles}
  owners    array of {pid, comm, link, program}; pid is null where no
            process has the link open: it is pinned, for example")]
pub struct Args {
    /// Only trampolines of functions of this name, such as 'vfs_*'
    #[arg(long, value_name = "GLOB")]
    target: Option<Pattern>,

    /// Only those with this program, by name or number
    #[arg(long, value_name = "NAME|ID")]
    program: Option<String>,

    /// Only those that this process keeps
    #[arg(long)]
    pid: Option<u32>,

    /// Only those of this kind
    #[arg(long)]
    kind: Option<Kind>,

    /// What comes first: names in order, the largest, the lowest address, most programs
    #[arg(long, value_name = "BY", default_value = "target")]
    sort: Sort,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Read a saved dump instead of this kernel, - for standard input
    #[arg(long, value_name = "DUMP")]
    from: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Of BPF links, for functions and for BPF programs
    Kernel,
    /// Of members of struct_ops tables
    #[value(name = "struct_ops")]
    StructOps,
    /// Of descriptors of /dev/rust_fsession
    Device,
    /// With entry programs
    Fentry,
    /// With return programs
    Fexit,
    /// With programs that decide on the return value
    #[value(name = "fmod_ret")]
    FmodRet,
    /// With sessions
    Fsession,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    Target,
    Size,
    Address,
    Programs,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let mut trampolines = dump::of(self.from.as_deref())?.trampolines;
        let total = trampolines.len();
        trampolines.retain(|it| self.wants(it));
        sort(&mut trampolines, self.sort);

        let mut out = anstream::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &json::rows(&trampolines))
                .map_err(io::Error::from)?;
            writeln!(out)?;
        } else if trampolines.is_empty() {
            let text = match total {
                0 => "There are no trampolines: nothing is traced.".to_owned(),
                1 => "The one trampoline there is does not match.".to_owned(),
                _ => format!("None of the {total} trampolines matches."),
            };
            writeln!(out, "{text}")?;
        } else {
            table::print(&mut out, &trampolines, screen::width())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wants(&self, trampoline: &Trampoline) -> bool {
        let name = trampoline
            .target
            .as_ref()
            .map(|target| target.name.as_str());
        let is_program = |wanted: &String| {
            let id = wanted.parse().ok();
            let mut programs = trampoline.programs.iter();
            programs.any(|it| it.name == *wanted || Some(it.id) == id)
        };
        let is_owner = |pid: u32| trampoline.owners.iter().any(|it| it.pid == Some(pid));
        self.target
            .as_ref()
            .is_none_or(|pattern| name.is_some_and(|name| pattern.matches(name)))
            && self.program.as_ref().is_none_or(is_program)
            && self.pid.is_none_or(is_owner)
            && self.kind.is_none_or(|kind| kind.is_of(trampoline))
    }
}

impl Kind {
    fn is_of(self, trampoline: &Trampoline) -> bool {
        use trampoline::document::Kind as Document;
        let has = |role: &str| {
            let roles = roles(trampoline);
            roles.values().any(|roles| roles.contains(&role))
        };
        match self {
            Self::Kernel => trampoline.kind == Document::Kernel,
            Self::StructOps => trampoline.kind == Document::StructOps,
            Self::Device => trampoline.kind == Document::Device,
            Self::Fentry => has("fentry"),
            Self::Fexit => has("fexit"),
            Self::FmodRet => has("fmod_ret"),
            Self::Fsession => has("fsession"),
        }
    }
}

/// What each program does in the trampoline (`fentry`, `fexit`, `fmod_ret`, `fsession`), by where
/// its code begins. A program can be there in several roles.
fn roles(trampoline: &Trampoline) -> BTreeMap<u64, Vec<&'static str>> {
    let mut roles: BTreeMap<u64, Vec<&'static str>> = BTreeMap::new();
    // Of an image that cannot be read, none is known.
    let reading = Reading::new(trampoline).ok();
    for call in reading.iter().flat_map(Reading::programs) {
        let of_program = roles.entry(call.entry.unwrap_or_default().0).or_default();
        if !of_program.contains(&call.role.name()) {
            of_program.push(call.role.name());
        }
    }
    roles
}

/// The roles of one program.
fn roles_of(roles: &BTreeMap<u64, Vec<&'static str>>, program: &Program) -> Vec<&'static str> {
    roles.get(&program.entry.0).cloned().unwrap_or_default()
}

/// The name of what is traced, or that of the image in brackets.
fn target_name(trampoline: &Trampoline) -> String {
    match &trampoline.target {
        Some(target) => target.name.clone(),
        None => format!("[{}]", trampoline.symbol),
    }
}

/// What is alike is in the order of addresses.
fn sort(trampolines: &mut [Trampoline], by: Sort) {
    trampolines.sort_by_key(|it| it.addr);
    match by {
        Sort::Target => trampolines.sort_by_key(target_name),
        Sort::Size => trampolines.sort_by_key(|it| Reverse(it.code.len())),
        Sort::Address => {}
        Sort::Programs => trampolines.sort_by_key(|it| Reverse(it.programs.len())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn picked(line: &str) -> Vec<String> {
        let words = std::iter::once("list").chain(line.split_whitespace());
        let args = Command::parse_from(words).args;
        let mut all = examples();
        all.retain(|it| args.wants(it));
        sort(&mut all, args.sort);
        all.iter().map(target_name).collect()
    }

    pub(super) fn examples() -> Vec<Trampoline> {
        let text = include_str!("list/example.json");
        trampoline::document::Dump::parse(text).unwrap().trampolines
    }

    #[test]
    fn filters_pick() {
        let all = ["[bpf_trampoline_77]", "tcp_congestion_ops.init", "vfs_read"];
        assert_eq!(picked(""), all);
        assert_eq!(picked("--target vfs_*"), ["vfs_read"]);
        assert_eq!(picked("--target vfs"), [""; 0]);
        assert_eq!(picked("--program on_read"), ["vfs_read"]);
        assert_eq!(picked("--program 31"), ["vfs_read"]);
        assert_eq!(picked("--program 3"), [""; 0]);
        assert_eq!(picked("--pid 1234"), ["vfs_read"]);
        assert_eq!(picked("--kind struct_ops"), ["tcp_congestion_ops.init"]);
        assert_eq!(picked("--kind kernel --target *").len(), 1);
    }

    #[test]
    fn what_comes_first_is_as_asked() {
        assert_eq!(picked("--sort address")[0], "vfs_read");
        assert_eq!(picked("--sort size")[0], "tcp_congestion_ops.init");
        assert_eq!(picked("--sort programs")[0], "vfs_read");
    }
}
