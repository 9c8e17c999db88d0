// SPDX-License-Identifier: GPL-2.0

//! Kernel functions, as the kernel's BTF describes them.

use anyhow::{Context, Result};
use libbpf_rs::btf::types::{Func, FuncProto, Int, Struct, Union};
use libbpf_rs::btf::{Btf, BtfKind, BtfType};
use libbpf_rs::HasSize;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Names of functions that are good to be traced: every number and kind of
/// arguments is among them, and none is on the way of a task that ends.
const PREFIXES: &[&str] = &[
    "HUF_",
    "ZSTD_",
    "__x64_sys_",
    "acpi_",
    "bpf_fentry_test",
    "bpf_lsm_",
    "bpf_modify_return_test",
    "clk_",
    "crypto_",
    "efi_",
    "fb_",
    "inet",
    "ip_",
    "kernfs_",
    "netlink_",
    "pci_",
    "record_blktrace_",
    "relay_blktrace_",
    "security_",
    "tcp_",
    "tfilter_",
    "tty_",
    "vfs_",
    "xfrm_",
];

/// The most arguments of a function that can be traced.
pub const MAX_ARGS: usize = 12;

#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    /// Number of the function in the kernel's BTF.
    pub id: u32,
    pub nr_args: usize,
    /// Arguments as 8-byte words, which is how programs count them.
    pub words: u64,
    /// Whether a struct or a union is passed by value.
    pub by_value: bool,
}

impl Function {
    /// Whether nobody calls it but test runs (`BPF_PROG_TEST_RUN`).
    pub fn is_quiet(&self) -> bool {
        ["bpf_fentry_test", "bpf_modify_return_test"]
            .iter()
            .any(|prefix| self.name.starts_with(prefix))
    }
}

/// The functions that workloads choose from.
pub struct Functions(Vec<Function>);

impl Functions {
    pub fn load() -> Result<Self> {
        Self::load_those(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
    }

    /// All that can be described, also those that every task calls at every turn.
    pub fn load_all() -> Result<Self> {
        Self::load_those(|_| true)
    }

    fn load_those(want: impl Fn(&str) -> bool) -> Result<Self> {
        let btf = Btf::from_vmlinux().context("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")?;
        Ok(Self(
            btf.type_by_kind::<Func<'_>>()
                .filter_map(|func| describe(&btf, &func, &want))
                .collect(),
        ))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.0.iter()
    }

    pub fn named(&self, name: &str) -> Result<&Function> {
        self.0
            .iter()
            .find(|function| function.name == name)
            .with_context(|| format!("the kernel's BTF has no {name}()"))
    }

    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Function> {
        self.0
            .iter()
            .filter(move |function| function.name.starts_with(prefix))
    }

    /// Those that `want` picks, in an order that `rng` draws.
    pub fn choose(&self, rng: &mut StdRng, want: impl Fn(&Function) -> bool) -> Vec<&Function> {
        let mut all: Vec<_> = self.0.iter().filter(|function| want(function)).collect();
        all.shuffle(rng);
        all
    }
}

fn describe(btf: &Btf<'_>, func: &Func<'_>, want: impl Fn(&str) -> bool) -> Option<Function> {
    let name = func.name()?.to_str()?;
    if !want(name) {
        return None;
    }
    let proto = FuncProto::try_from(func.next_type()?).ok()?;
    let (mut words, mut by_value) = (0, false);
    for param in proto.iter() {
        // A variable number of arguments ends in one of type 0.
        let ty = btf.type_by_id::<BtfType<'_>>(param.ty)?;
        let ty = ty.skip_mods_and_typedefs();
        if ty.kind() == BtfKind::Void {
            return None;
        }
        let size = size(ty)?;
        by_value |= ty.is_composite();
        words += size.div_ceil(8) as u64;
        if size > 16 {
            return None;
        }
    }
    (proto.len() <= MAX_ARGS).then(|| Function {
        name: name.to_owned(),
        id: func.type_id().into(),
        nr_args: proto.len(),
        words,
        by_value,
    })
}

fn size(ty: BtfType<'_>) -> Option<usize> {
    Some(match ty.kind() {
        BtfKind::Struct => Struct::try_from(ty).ok()?.size(),
        BtfKind::Union => Union::try_from(ty).ok()?.size(),
        BtfKind::Int => Int::try_from(ty).ok()?.size(),
        _ => 8,
    })
}
