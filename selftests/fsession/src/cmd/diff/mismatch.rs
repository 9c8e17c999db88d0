// SPDX-License-Identifier: GPL-2.0

//! The differences that shadow mode keeps.

use std::fs;
use std::io::ErrorKind;

use anyhow::{bail, Context, Result};
use trampoline::document::{Hex, Target};

use super::side::{raw, Image};
use crate::kernel;

const DIRECTORY: &str = "/sys/kernel/debug/rust_fsession/mismatches";

/// C's image and Rust's.
pub fn read(number: u8) -> Result<[Image; 2]> {
    let path = format!("{DIRECTORY}/{number:02}");
    let text = fs::read_to_string(&path).map_err(|err| match err.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "there is no {path}: is the module loaded, debugfs mounted, the number below 16?"
        ),
        _ => anyhow::Error::new(err).context(format!("cannot read {path}")),
    })?;
    let mismatch = Mismatch::parse(&text).with_context(|| path.clone())?;
    let kallsyms = kernel::kallsyms::Kallsyms::load()?;
    let name = kallsyms.name(mismatch.func);
    let image = |who: &str, code: Vec<u8>| {
        let mut trampoline = raw(&path, code);
        trampoline.target = name.clone().map(|name| Target {
            name,
            addr: Some(Hex(mismatch.func)),
            module: None,
            program: None,
            prototype: None,
        });
        let function = name.as_deref().unwrap_or("an unknown function");
        let label = format!("{who}, {function}");
        Image { label, trampoline }
    };
    Ok([image("C", mismatch.c), image("Rust", mismatch.rust)])
}

/// What of the file is needed.
#[derive(Debug, PartialEq, Eq)]
struct Mismatch {
    func: u64,
    rust: Vec<u8>,
    c: Vec<u8>,
}

impl Mismatch {
    fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            bail!("no difference is kept under this number");
        }
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .with_context(|| {
                    format!("it has no {name}: addresses are hidden, see kptr_restrict")
                })
        };
        let func = field("func")?;
        let digits = func.strip_prefix("0x").unwrap_or(func);
        Ok(Self {
            func: u64::from_str_radix(digits, 16).context("func is no address")?,
            rust: hex::decode(field("rust")?).context("rust is no code")?,
            c: hex::decode(field("c")?).context("c is no code")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read() {
        let text = "difference code at 3\nfunc 0xffffffff81000000\nflags 0x2\narg_sizes [8]\n\
                    programs fentry 1 fmod_ret 0 fexit 0\nrust 5548\nc 5549\n";
        let mismatch = Mismatch::parse(text).unwrap();
        assert_eq!(mismatch.func, 0xffff_ffff_8100_0000);
        assert_eq!(
            (mismatch.rust, mismatch.c),
            (vec![0x55, 0x48], vec![0x55, 0x49])
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let err = Mismatch::parse("difference code at 3\nfunc 0x0\nflags 0x2\n").unwrap_err();
        assert!(err.to_string().contains("kptr_restrict"), "{err}");
        let err = Mismatch::parse("").unwrap_err();
        assert!(err.to_string().contains("no difference"), "{err}");
    }
}
