// SPDX-License-Identifier: GPL-2.0

//! The trampolines of a kernel as a document: what `fsession dump` saves, and what every view
//! reads, of a running kernel or of a saved one.
//!
//! It is JSON. Addresses and other 64-bit numbers are hexadecimal strings (`"0xffffffffc0201000"`),
//! code is a string of hexadecimal digits. A reader of one [`VERSION`] takes no other.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub const FORMAT: &str = "fsession-dump";
pub const VERSION: u32 = 1;

/// All trampolines of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// [`FORMAT`]
    pub format: String,
    /// [`VERSION`]
    pub version: u32,
    pub host: Host,
    /// By address.
    pub trampolines: Vec<Trampoline>,
}

/// Where the images are from, as both sides of a comparison are labelled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `uname -r`
    pub release: String,
    /// `uname -v`
    pub build: String,
    /// The CPU's model name.
    pub cpu: String,
    /// By the names in `/sys/devices/system/cpu/vulnerabilities`.
    pub mitigations: BTreeMap<String, String>,
    /// Mode of `rust_fsession`: `off`, `shadow` or `takeover`. None where it is not loaded.
    pub mode: Option<String>,
}

/// One trampoline and its current image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trampoline {
    /// What kallsyms calls the image.
    pub symbol: String,
    pub kind: Kind,
    /// Of the kernel's trampolines: the number in `bpf_trampoline_<key>`, BTF object or program and
    /// type of the target.
    pub key: Option<u64>,
    /// First byte of the image.
    pub addr: Hex,
    /// From the first byte through the last instruction.
    #[serde(with = "hex::serde")]
    pub code: Vec<u8>,
    /// Where it is known what is traced.
    pub target: Option<Target>,
    /// The programs that the image calls, where they are known: each once.
    pub programs: Vec<Program>,
    pub owners: Vec<Owner>,
    /// Names of what the code refers to: `bpf_prog_<tag>_<name>`, `__bpf_prog_enter_recur`,
    /// `vfs_read+0x5`.
    pub symbols: BTreeMap<Hex, String>,
    /// What only the module tells, of its own trampolines.
    pub module: Option<Module>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `bpf_trampoline_<key>`, of BPF links.
    Kernel,
    /// Of a member of a struct_ops table.
    StructOps,
    /// Of a descriptor of `/dev/rust_fsession`.
    Device,
}

/// What is traced: a function of the kernel or of a module, or a BPF program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The function's name.
    pub name: String,
    /// Its first instruction, where it is known.
    pub addr: Option<Hex>,
    /// The module that has it, none for the kernel itself.
    pub module: Option<String>,
    /// The number of the BPF program that has it.
    pub program: Option<u32>,
    /// None where BTF does not tell.
    pub prototype: Option<Prototype>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prototype {
    /// In the order of the declaration.
    pub args: Vec<Arg>,
    pub ret: Ret,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arg {
    /// Empty where it has none.
    pub name: String,
    /// As C declares it: `struct file *file`, `int (*fn)(void *)`.
    pub decl: String,
    /// In bytes. What is larger than 8 takes several words of a program's context.
    pub size: u32,
    pub is_signed: bool,
    pub is_struct: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ret {
    /// `void`, `ssize_t`, `struct file *`
    pub decl: String,
    /// In bytes, 0 for `void`.
    pub size: u32,
    pub is_signed: bool,
}

/// A BPF program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The kernel's number of it.
    pub id: u32,
    pub name: String,
    /// 16 hexadecimal digits.
    pub tag: String,
    /// Where its code begins.
    pub entry: Hex,
    /// `tracing`, `lsm`, `ext`, `struct_ops`
    pub kind: String,
}

/// Who keeps programs attached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// None where no process has it open: pinned, or kept by the kernel.
    pub pid: Option<u32>,
    /// The process's name, empty without one.
    pub comm: String,
    /// The kernel's number of the link, none for a descriptor of the device.
    pub link: Option<u32>,
    /// Number of the program, where it is known.
    pub program: Option<u32>,
}

/// What `RUST_FSESSION_IOC_INFO` tells beside the above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// `BPF_TRAMP_F_*`
    pub flags: u32,
    /// Images built through the descriptor.
    pub generation: u32,
    /// Whether C builds the same image, where it was asked.
    pub identical: Option<bool>,
}

/// A 64-bit number, written `"0x…"`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Hex(pub u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl From<Hex> for String {
    fn from(number: Hex) -> Self {
        number.to_string()
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text
            .strip_prefix("0x")
            .ok_or_else(|| format!("{text}: a number begins with 0x"))?;
        u64::from_str_radix(digits, 16)
            .map(Self)
            .map_err(|err| format!("{text}: {err}"))
    }
}

impl Trampoline {
    /// An image of which nothing is known but its bytes.
    pub fn of_bytes(symbol: &str, addr: Hex, code: Vec<u8>) -> Self {
        Self {
            symbol: symbol.to_owned(),
            kind: Kind::Kernel,
            key: None,
            addr,
            code,
            target: None,
            programs: Vec::new(),
            owners: Vec::new(),
            symbols: BTreeMap::new(),
            module: None,
        }
    }
}

impl Target {
    /// As C declares it, or its name alone.
    pub fn declaration(&self) -> String {
        let Some(prototype) = &self.prototype else {
            return self.name.clone();
        };
        let mut args: Vec<_> = prototype.args.iter().map(|arg| arg.decl.as_str()).collect();
        if args.is_empty() {
            args.push("void");
        }
        let ret = &prototype.ret.decl;
        let space = if ret.ends_with('*') { "" } else { " " };
        format!("{ret}{space}{}({})", self.name, args.join(", "))
    }
}

impl Dump {
    /// A document of nothing yet.
    pub fn new(host: Host) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            host,
            trampolines: Vec::new(),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// One line: it is no dump, one of another version, or broken.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let head: Head =
            serde_json::from_str(text).map_err(|err| format!("this is no dump: {err}"))?;
        if head.format != FORMAT {
            return Err(format!("this is no dump, but \"{}\"", head.format));
        }
        if head.version != VERSION {
            return Err(format!(
                "this dump has version {}, and version {VERSION} can be read",
                head.version
            ));
        }
        serde_json::from_str(text).map_err(|err| format!("this dump is broken: {err}"))
    }
}
