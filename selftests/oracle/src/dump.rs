// SPDX-License-Identifier: GPL-2.0

//! Images from files, built by any builder for addresses of a kernel.
//!
//! A dump is a file of JSON objects, one per line: an image and the request for it. Addresses and
//! other 64-bit numbers are hexadecimal strings, offsets are bytes from the start of the image:
//!
//! ```json
//! {"kernel": "7.2.12", "ip": "0xffffffffc0201000", "flags": 2, "args": [[8, 0], [16, 1]],
//!  "func": "0xffffffff81234560", "endbr": true, "im": "0xffff888100123400", "arena": null,
//!  "preamble": null, "sls": true, "jmp": true, "run_ctx": [16, 0],
//!  "tramp_enter": "0xffffffff81100000", "tramp_exit": "0xffffffff81100100",
//!  "return_thunk": null, "call_depth": null, "call_count": null, "counted": [],
//!  "fentry": [{"prog": "0xffffc90000200000", "entry": "0xffffffffc0300000", "insnsi": null,
//!              "enter": "0xffffffff81100200", "exit": "0xffffffff81100300",
//!              "bpf_cookie": "0x7", "session": true, "session_cookie": true}],
//!  "fmod_ret": [], "fexit": [],
//!  "code": "554889e5...", "skips": [["0xffffc90000200000", 60, 120]], "fp": [4, 200]}
//! ```
//!
//! `args` are sizes and `BTF_FMODEL_*` flags, `run_ctx` is the size of `struct bpf_tramp_run_ctx`
//! and the offset of `bpf_cookie`, `counted` lists the callees that do their own accounting.
//! `preamble` is `"endbr"`, `{"kcfi": [hash, padding, endbr]}` or `{"fineibt": [hash, bhi thunk]}`.
//!
//! To run near the stubs, an image is relocated: the targets of its branches and of operands
//! relative to RIP are looked up among the addresses above and replaced by those of the stubs, in
//! the same four bytes. Nothing else changes: immediates (`im`, programs, cookies, the function's
//! address) are compared as numbers. An unknown or ambiguous address is an error.

use crate::case::{Arg, Case, Machine, Preamble, Prog, MAX_CODES, PAIRS};
use crate::image::{Image, Skip};
use crate::memory::{stub, Addresses, PAGE};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Register};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A 64-bit number, written `"0x..."`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hex(pub u64);

impl From<Hex> for String {
    fn from(Hex(number): Hex) -> Self {
        format!("{number:#x}")
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").ok_or("a number begins with 0x");
        u64::from_str_radix(digits?, 16)
            .map(Self)
            .map_err(|e| format!("{text}: {e}"))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DumpedPreamble {
    Endbr,
    Kcfi(u32, u8, bool),
    FineIbt(u32, Option<Hex>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DumpedProg {
    pub prog: Hex,
    pub entry: Hex,
    pub insnsi: Option<Hex>,
    pub enter: Hex,
    pub exit: Hex,
    pub bpf_cookie: Hex,
    pub session: bool,
    pub session_cookie: bool,
}

/// One line of a dump.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dumped {
    pub kernel: String,
    pub ip: Hex,
    pub flags: u32,
    pub args: Vec<(u8, u8)>,
    pub func: Hex,
    pub endbr: bool,
    pub im: Hex,
    pub arena: Option<Hex>,
    pub preamble: Option<DumpedPreamble>,
    pub sls: bool,
    pub jmp: bool,
    pub run_ctx: (u16, u16),
    pub tramp_enter: Hex,
    pub tramp_exit: Hex,
    pub return_thunk: Option<Hex>,
    pub call_depth: Option<Hex>,
    pub call_count: Option<Hex>,
    pub counted: Vec<Hex>,
    pub fentry: Vec<DumpedProg>,
    pub fmod_ret: Vec<DumpedProg>,
    pub fexit: Vec<DumpedProg>,
    pub code: String,
    pub skips: Vec<(Hex, u64, u64)>,
    pub fp: [u64; 2],
}

/// What an address refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symbol {
    Stub(usize),
    /// The function behind its entry, whose size in bytes this is.
    Body(u64),
    Depth,
    Calls,
}

/// The addresses of a dumped image.
#[derive(Default)]
struct Symbols {
    addresses: BTreeMap<u64, Symbol>,
    pairs: Vec<(Hex, Hex)>,
    codes: Vec<Hex>,
}

impl Symbols {
    fn add(&mut self, Hex(addr): Hex, symbol: Symbol) -> Result<(), String> {
        match self.addresses.insert(addr, symbol) {
            Some(other) if other != symbol => {
                Err(format!("{addr:#x} is both {other:?} and {symbol:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Translates a program to stubs.
    fn prog(&mut self, dumped: &DumpedProg) -> Result<Prog, String> {
        let pair = place(&mut self.pairs, (dumped.enter, dumped.exit));
        let code = place(&mut self.codes, dumped.entry);
        if pair >= PAIRS || code >= MAX_CODES {
            return Err("too many helpers or programs".into());
        }
        self.add(dumped.enter, Symbol::Stub(stub::ENTER + pair))?;
        self.add(dumped.exit, Symbol::Stub(stub::EXIT + pair))?;
        self.add(dumped.entry, Symbol::Stub(stub::PROG + code))?;
        Ok(Prog {
            addr: dumped.prog.0,
            code,
            insnsi: dumped.insnsi.map(|Hex(addr)| addr),
            pair,
            bpf_cookie: dumped.bpf_cookie.0,
            session: dumped.session,
            session_cookie: dumped.session_cookie,
        })
    }
}

/// Index of `item`, which is added if it is new.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    let known = list.iter().position(|other| *other == item);
    known.unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

impl Dumped {
    /// Reads a line.
    ///
    /// # Errors
    ///
    /// The line does not have the form above.
    pub fn parse(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|e| e.to_string())
    }

    /// The case, and the image relocated to `at`.
    ///
    /// # Errors
    ///
    /// The image refers to an address that is not in the dump, or the dump is inconsistent.
    pub fn relocate(&self, at: &Addresses) -> Result<(Case, Image), String> {
        let mut symbols = Symbols::default();
        let entry = if self.endbr { 9 } else { 5 };
        let body = Hex(self.func.0.wrapping_add(entry));
        symbols.add(self.tramp_enter, Symbol::Stub(stub::TRAMP_ENTER))?;
        symbols.add(self.tramp_exit, Symbol::Stub(stub::TRAMP_EXIT))?;
        symbols.add(body, Symbol::Body(entry))?;
        for (addr, symbol) in [
            (self.return_thunk, Symbol::Stub(stub::RETURN_THUNK)),
            (self.call_depth, Symbol::Depth),
            (self.call_count, Symbol::Calls),
        ] {
            addr.map_or(Ok(()), |addr| symbols.add(addr, symbol))?;
        }
        let preamble = match self.preamble {
            None => Preamble::None,
            Some(DumpedPreamble::Endbr) => Preamble::Endbr,
            Some(DumpedPreamble::Kcfi(hash, padding, endbr)) => Preamble::Kcfi {
                hash,
                padding,
                endbr,
            },
            Some(DumpedPreamble::FineIbt(hash, bhi)) => {
                let thunk = Symbol::Stub(stub::BHI_THUNK);
                bhi.map_or(Ok(()), |addr| symbols.add(addr, thunk))?;
                let bhi = bhi.is_some();
                Preamble::FineIbt { hash, bhi }
            }
        };
        let mut progs = |list: &[DumpedProg]| -> Result<Vec<_>, String> {
            list.iter().map(|prog| symbols.prog(prog)).collect()
        };
        let (fentry, fmod_ret, fexit) = (
            progs(&self.fentry)?,
            progs(&self.fmod_ret)?,
            progs(&self.fexit)?,
        );
        let mut counted = 0;
        for addr in &self.counted {
            match symbols.addresses.get(&addr.0) {
                Some(Symbol::Stub(id)) => counted |= 1 << (id % 64),
                other => return Err(format!("{:#x} is counted, but {other:?}", addr.0)),
            }
        }
        let args = self.args.iter();
        let case = Case {
            args: args.map(|&(size, flags)| Arg { size, flags }).collect(),
            flags: self.flags,
            endbr: self.endbr,
            func_ip: Some(self.func.0),
            preamble,
            fentry,
            fmod_ret,
            fexit,
            machine: Machine {
                return_thunk: self.return_thunk.is_some(),
                sls: self.sls,
                call_depth: self.call_depth.is_some(),
                call_count: self.call_count.is_some(),
                counted,
                jmp: self.jmp,
                run_ctx_size: self.run_ctx.0,
                bpf_cookie_off: self.run_ctx.1,
            },
            im: self.im.0,
            arena: self.arena.map(|Hex(addr)| addr),
        };
        let skips = self
            .skips
            .iter()
            .map(|&(Hex(prog), nop, target)| Skip { prog, nop, target });
        let code = hex::decode(&self.code).map_err(|e| e.to_string())?;
        if code.len() > PAGE {
            return Err("more code than a page holds".into());
        }
        let image = Image {
            code: relocate_code(&code, self.ip.0, &symbols.addresses, at)?,
            skips: skips.collect(),
            fp: self.fp,
        };
        Ok((case, image))
    }
}

/// Redirects everything in `code` that is relative to RIP to the stubs.
fn relocate_code(
    code: &[u8],
    ip: u64,
    addresses: &BTreeMap<u64, Symbol>,
    at: &Addresses,
) -> Result<Vec<u8>, String> {
    let mut moved = code.to_vec();
    let mut decoder = Decoder::with_ip(64, code, ip, DecoderOptions::NONE);
    while decoder.can_decode() {
        let insn = decoder.decode();
        let offsets = decoder.get_constant_offsets(&insn);
        let branches = matches!(
            insn.flow_control(),
            FlowControl::Call | FlowControl::UnconditionalBranch
        );
        let (target, field) = if branches {
            (insn.near_branch_target(), offsets.immediate_offset())
        } else if insn.memory_base() == Register::RIP {
            (insn.memory_displacement64(), offsets.displacement_offset())
        } else {
            continue;
        };
        let new = match addresses.get(&target) {
            Some(Symbol::Body(entry)) => at.func() + entry,
            Some(&Symbol::Stub(id)) => at.stub(id),
            Some(Symbol::Depth) => at.depth(),
            Some(Symbol::Calls) => at.calls(),
            None => return Err(format!("unknown address {target:#x}")),
        };
        let offset = (insn.ip() - ip) as usize;
        let next = at.image + offset as u64 + insn.len() as u64;
        // The stubs are within reach.
        let rel32 = new.wrapping_sub(next) as u32;
        moved[offset + field..][..4].copy_from_slice(&rel32.to_le_bytes());
    }
    Ok(moved)
}
