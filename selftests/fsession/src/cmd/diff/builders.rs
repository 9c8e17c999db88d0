// SPDX-License-Identifier: GPL-2.0

//! C beside Rust: both builders of the running kernel build what is attached to a function.
//!
//! The programs are there again only in number, kind, order and cookies: the module builds for
//! programs that do not exist. Where their code would be is told, so that calls can be named.

use std::collections::BTreeMap;

use anyhow::{bail, Context, Result};
use trampoline::document::{Hex, Trampoline};
use trampoline::reading::{Half, Reading, Role};
use uapi::abi::{self, Case, CaseProg};

use super::side::Image;
use crate::kernel::{self, image};
use crate::module;

/// Bytes that either builder may fill.
const PAGE: usize = 4096;

/// C's image and Rust's for what is attached to `what`.
pub fn both(what: &str) -> Result<[Image; 2]> {
    let dump = kernel::dump()?;
    let trampoline = dump.find(what)?;
    let reading = Reading::new(trampoline)?;
    let progs = programs(trampoline, &reading);
    let device = module::open()?;
    let mut images = [vec![0; PAGE], vec![0; PAGE]];
    let mut case = case(trampoline, &reading)?;
    case.progs = progs.as_ptr() as u64;
    case.nr_progs = progs.len() as u32;
    let [c, rust] = &mut images;
    case.c_image = c.as_mut_ptr() as u64;
    case.rust_image = rust.as_mut_ptr() as u64;
    device
        .compare(&mut case)
        .with_context(|| format!("the module cannot build what is on {what}"))?;
    let sizes = [("C", case.c_ret), ("Rust", case.rust_ret)];
    let mut sides = Vec::new();
    for ((who, size), mut code) in sizes.into_iter().zip(images) {
        let Ok(size) = usize::try_from(size) else {
            bail!(
                "the {who} builder refuses what is on {what}: errno {}",
                size.unsigned_abs()
            );
        };
        // A builder asks for more room than its code takes.
        code.truncate(size);
        code.truncate(image::len(&code, trampoline.addr.0).unwrap_or(size));
        sides.push(Image {
            label: format!("{who}, {what}, Linux {}", dump.host.release),
            trampoline: named(trampoline, code),
        });
    }
    <[Image; 2]>::try_from(sides).map_err(|_| anyhow::anyhow!("there are two builders"))
}

fn case(trampoline: &Trampoline, reading: &Reading) -> Result<Case> {
    let target = trampoline.target.as_ref();
    let prototype = target
        .and_then(|target| target.prototype.as_ref())
        .context("BTF does not tell the function's arguments")?;
    let module = trampoline.module.as_ref();
    let mut case = Case {
        flags: module.map_or(reading.flags, |module| module.flags),
        nr_args: prototype.args.len() as u32,
        arena_prog_fd: -1,
        endbr: u32::from(has_endbr(trampoline, reading)),
        ..Default::default()
    };
    if prototype.args.len() > case.arg_size.len() {
        bail!("the function has more arguments than a trampoline takes");
    }
    for (size, arg) in case.arg_size.iter_mut().zip(&prototype.args) {
        *size = u8::try_from(arg.size).context("an argument is too large")?;
    }
    Ok(case)
}

/// Whether the function begins with ENDBR: its call lands behind that.
fn has_endbr(trampoline: &Trampoline, reading: &Reading) -> bool {
    let entry = trampoline.target.as_ref().and_then(|target| target.addr);
    reading
        .function
        .zip(entry)
        .is_some_and(|(body, entry)| body.0.wrapping_sub(entry.0) == 9)
}

fn programs(trampoline: &Trampoline, reading: &Reading) -> Vec<CaseProg> {
    let of = |call: &trampoline::reading::ProgramCall| {
        let enter = call.enter.as_deref().unwrap_or_default();
        let mut traits = 0;
        let mut set = |bit: u32, has: bool| traits |= if has { bit } else { 0 };
        set(abi::PROG_SESSION, call.role == Role::Fsession);
        set(abi::PROG_COOKIE, call.cookie_index.is_some());
        set(abi::PROG_SLEEPABLE, enter.contains("sleepable"));
        set(
            abi::PROG_LSM,
            !enter.ends_with("_recur") && !enter.contains("lsm_cgroup"),
        );
        set(abi::PROG_LSM_CGROUP, enter.contains("lsm_cgroup"));
        let entry = call.entry.unwrap_or(trampoline.addr);
        CaseProg {
            bpf_cookie: call.bpf_cookie,
            entry: entry.0.wrapping_sub(trampoline.addr.0) as i64,
            list: match (call.role, call.half) {
                (Role::FmodRet, _) => abi::LIST_FMOD_RET,
                (Role::Fexit, _) | (_, Some(Half::Return)) => abi::LIST_FEXIT,
                _ => abi::LIST_FENTRY,
            },
            traits,
        }
    };
    reading.calls.iter().map(of).collect()
}

/// `code`, as if it were at the trampoline's place: what it calls has the same names then.
fn named(trampoline: &Trampoline, code: Vec<u8>) -> Trampoline {
    let mut built = Trampoline {
        code,
        ..trampoline.clone()
    };
    let Some(shift) = shift(trampoline, &built) else {
        return built;
    };
    // Programs are where they were, seen from the image.
    let is_program = |name: &String| name.starts_with("bpf_prog_");
    let others = trampoline
        .symbols
        .iter()
        .filter(|(_, name)| !is_program(name));
    let others: BTreeMap<Hex, String> = others
        .map(|(addr, name)| (Hex(addr.0.wrapping_sub(shift)), name.clone()))
        .collect();
    built.symbols.retain(|_, name| is_program(name));
    built.symbols.extend(others);
    built
}

/// Gives what `image` calls the names that `other` has, if it has none itself and was built where
/// `other` was.
pub fn lend_names(image: &mut Trampoline, other: &Trampoline) {
    if !image.symbols.is_empty() {
        return;
    }
    if let Some(shift) = shift(other, image) {
        image.addr.0 = image.addr.0.wrapping_add(shift);
        image.symbols.clone_from(&other.symbols);
    }
}

/// How far the first helper is from where it seems to be: the image was built at another place.
fn shift(trampoline: &Trampoline, built: &Trampoline) -> Option<u64> {
    let helper = |trampoline: &Trampoline| Some(Reading::new(trampoline).ok()?.helper?.0);
    Some(helper(trampoline)?.wrapping_sub(helper(built)?))
}
