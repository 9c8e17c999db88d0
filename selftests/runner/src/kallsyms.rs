// SPDX-License-Identifier: GPL-2.0

//! `/proc/kallsyms`: what the kernel calls an address.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// How all images are named, those of the kernel and those of the module.
const ANY_PREFIX: &str = "bpf_trampoline_";

/// How the module names its images.
pub const IMAGE_PREFIX: &str = "bpf_trampoline_rust_fsession_";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub addr: u64,
    pub name: String,
}

impl Symbol {
    /// The kernel names its images by a number.
    fn is_kernel_image(&self) -> bool {
        let key = self.name.strip_prefix(ANY_PREFIX);
        key.is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// The symbols that `want` picks, sorted by address.
fn symbols(want: impl Fn(&Symbol) -> bool) -> Result<Vec<Symbol>> {
    let text = fs::read_to_string("/proc/kallsyms").context("cannot read /proc/kallsyms")?;
    let mut found: Vec<_> = text.lines().filter_map(parse).filter(want).collect();
    found.sort_by_key(|symbol| symbol.addr);
    Ok(found)
}

/// All images of the module, those included that only wait for their last task.
pub fn images() -> Result<Vec<Symbol>> {
    symbols(|symbol| symbol.name.starts_with(IMAGE_PREFIX))
}

/// All images of either, and no functions of the kernel that are called likewise.
pub fn all_images() -> Result<Vec<Symbol>> {
    symbols(|symbol| symbol.name.starts_with(IMAGE_PREFIX) || symbol.is_kernel_image())
}

/// All images of the kernel's own trampolines.
pub fn kernel_images() -> Result<Vec<Symbol>> {
    symbols(Symbol::is_kernel_image)
}

/// The address of the function `name`.
pub fn address_of(name: &str) -> Result<u64> {
    let found = symbols(|symbol| symbol.name == name)?;
    let [symbol] = found.as_slice() else {
        anyhow::bail!("{} symbols named {name}", found.len());
    };
    anyhow::ensure!(symbol.addr != 0, "addresses are hidden, see kptr_restrict");
    Ok(symbol.addr)
}

/// Whether the kernel checks each access of memory. There, to trace one function takes so
/// long that with all of them traced a program takes seconds to start.
pub fn has_kasan() -> bool {
    address_of("kasan_report").is_ok()
}

/// The addresses of the functions that `wanted` names. There may be several of one name.
pub fn addresses(wanted: &mut BTreeMap<&str, Vec<u64>>) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    for symbol in symbols(|symbol| wanted.contains_key(symbol.name.as_str()))? {
        if let Some(addresses) = wanted.get_mut(symbol.name.as_str()) {
            addresses.push(symbol.addr);
        }
    }
    Ok(())
}

/// Everything at once, to name many addresses.
pub struct Kallsyms(Vec<Symbol>);

impl Kallsyms {
    pub fn load() -> Result<Self> {
        symbols(|_| true).map(Self)
    }

    /// `name` or `name+offset`.
    pub fn name(&self, addr: u64) -> Option<String> {
        let next = self.0.partition_point(|symbol| symbol.addr <= addr);
        let symbol = &self.0[next.checked_sub(1)?];
        Some(match addr - symbol.addr {
            0 => symbol.name.clone(),
            offset => format!("{}+{offset:#x}", symbol.name),
        })
    }
}

/// `address type name [module]`.
fn parse(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    Some(Symbol {
        addr: u64::from_str_radix(words.next()?, 16).ok()?,
        name: words.nth(1)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let symbol = parse("ffffffffc0201000 t bpf_trampoline_6442512345\t[bpf]").unwrap();
        assert_eq!(symbol.addr, 0xffff_ffff_c020_1000);
        assert_eq!(symbol.name, "bpf_trampoline_6442512345");
        assert_eq!(parse(""), None);
    }

    #[test]
    fn addresses_are_named_by_the_symbol_before_them() {
        let symbol = |addr, name: &str| Symbol {
            addr,
            name: name.to_owned(),
        };
        let all = Kallsyms(vec![symbol(0x100, "first"), symbol(0x200, "second")]);
        assert_eq!(all.name(0xff), None);
        assert_eq!(all.name(0x100).unwrap(), "first");
        assert_eq!(all.name(0x205).unwrap(), "second+0x5");
    }
}
