// SPDX-License-Identifier: GPL-2.0

//! All BPF programs, as `bpf()` tells of them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_sys as sys;
use trampoline::document::{Hex, Program};

use super::kallsyms::Kallsyms;
use super::objects::{self, check};

/// A BPF program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prog {
    pub id: u32,
    /// At most 15 characters of its name.
    pub name: String,
    pub tag: String,
    /// `tracing`, `lsm`, `ext`, `struct_ops`, … A number where libbpf does not know it.
    pub kind: String,
    /// Where the code of its functions begins, the program's own first. Empty without JIT, and
    /// where addresses are hidden.
    pub entries: Vec<u64>,
    /// Its own BTF, 0 for none.
    pub btf: u32,
    /// The function of each of `entries`: its type in `btf`.
    pub functions: Vec<u32>,
    /// The BTF object of what it is for, 0 for none.
    pub attach_object: u32,
}

/// All programs by their numbers.
#[derive(Default)]
pub struct Progs {
    by_id: BTreeMap<u32, Prog>,
    by_entry: BTreeMap<u64, u32>,
}

impl Progs {
    /// # Errors
    ///
    /// It takes CAP_SYS_ADMIN.
    pub fn load() -> Result<Self> {
        let mut progs = Vec::new();
        for id in objects::prog_ids() {
            let id = id.map_err(|err| objects::explain(err, "the BPF programs"))?;
            // It may be gone by now.
            // SAFETY: The call takes a number only.
            let Ok(fd) = objects::own(unsafe { sys::bpf_prog_get_fd_by_id(id) }) else {
                continue;
            };
            progs.push(prog(&fd).with_context(|| format!("BPF program {id}"))?);
        }
        Ok(progs.into_iter().collect())
    }

    pub fn get(&self, id: u32) -> Option<&Prog> {
        self.by_id.get(&id)
    }

    /// The program whose code begins at `entry`.
    pub fn at(&self, entry: u64) -> Option<&Prog> {
        self.get(*self.by_entry.get(&entry)?)
    }
}

impl FromIterator<Prog> for Progs {
    fn from_iter<I: IntoIterator<Item = Prog>>(progs: I) -> Self {
        let by_id: BTreeMap<u32, Prog> = progs.into_iter().map(|prog| (prog.id, prog)).collect();
        let by_entry = by_id
            .values()
            .filter_map(|prog| Some((*prog.entries.first()?, prog.id)))
            .collect();
        Self { by_id, by_entry }
    }
}

impl Prog {
    /// For the document. kallsyms has the whole name: `bpf_prog_<tag>_<name>`.
    pub fn document(&self, kallsyms: &Kallsyms) -> Program {
        let entry = self.entries.first().copied().unwrap_or_default();
        let prefix = format!("bpf_prog_{}_", self.tag);
        let long = kallsyms
            .at(entry)
            .and_then(|symbol| symbol.name.strip_prefix(&prefix));
        Program {
            id: self.id,
            name: long.unwrap_or(&self.name).to_owned(),
            tag: self.tag.clone(),
            entry: Hex(entry),
            kind: self.kind.clone(),
        }
    }

    /// Where the function begins that is `type_id` in the program's BTF.
    pub fn function_entry(&self, type_id: u32) -> Option<u64> {
        let nr = self.functions.iter().position(|it| *it == type_id)?;
        self.entries.get(nr).copied()
    }
}

fn prog(fd: &OwnedFd) -> Result<Prog> {
    let mut info = sys::bpf_prog_info::default();
    // SAFETY: `info` has no pointers.
    unsafe { prog_info(fd, &mut info) }.context("cannot ask for it")?;

    // Once more, with room for what there is. What is added meanwhile is left out.
    let mut entries = vec![0_u64; info.nr_jited_ksyms as usize];
    let record = info.func_info_rec_size;
    let mut functions = vec![0_u8; record as usize * info.nr_func_info as usize];
    info = sys::bpf_prog_info {
        nr_jited_ksyms: info.nr_jited_ksyms,
        jited_ksyms: entries.as_mut_ptr() as u64,
        nr_func_info: info.nr_func_info,
        func_info_rec_size: record,
        func_info: functions.as_mut_ptr() as u64,
        ..Default::default()
    };
    // SAFETY: There is as much room as `info` says.
    unsafe { prog_info(fd, &mut info) }.context("cannot ask for it")?;
    // Without a JIT, and for those who may not see addresses, they are 0.
    entries.retain(|entry| *entry != 0);

    let name: Vec<u8> = info.name.iter().map(|byte| *byte as u8).collect();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Prog {
        id: info.id,
        name: String::from_utf8_lossy(name).into_owned(),
        tag: hex::encode(info.tag),
        kind: kind(info.type_),
        entries,
        btf: info.btf_id,
        functions: function_types(&functions, record as usize),
        attach_object: info.attach_btf_obj_id,
    })
}

/// The types of `struct bpf_func_info` records, which may grow at their end.
fn function_types(bytes: &[u8], record: usize) -> Vec<u32> {
    if record == 0 {
        return Vec::new();
    }
    bytes
        .chunks_exact(record)
        .filter_map(|record| Some(u32::from_ne_bytes(record.get(4..8)?.try_into().ok()?)))
        .collect()
}

/// Fills in `info` for the program `fd`.
///
/// # Safety
///
/// The pointers in `info` are null, or to what is as long as the fields beside them say.
pub unsafe fn prog_info(fd: &impl AsFd, info: &mut sys::bpf_prog_info) -> io::Result<()> {
    let mut len = size_of_val(info) as u32;
    // SAFETY: `len` is the size of `info`; the caller answers for its pointers.
    check(unsafe { sys::bpf_prog_get_info_by_fd(fd.as_fd().as_raw_fd(), info, &mut len) }).map(drop)
}

fn kind(number: u32) -> String {
    // SAFETY: The call takes any number, and returns null or a string that stays.
    let text = unsafe { sys::libbpf_bpf_prog_type_str(number) };
    if text.is_null() {
        return number.to_string();
    }
    // SAFETY: See above.
    let text = unsafe { std::ffi::CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prog(id: u32, entries: &[u64]) -> Prog {
        Prog {
            id,
            name: "a_name_of_15_ch".into(),
            tag: "6deef7357e7b4530".into(),
            kind: "tracing".into(),
            entries: entries.to_vec(),
            btf: 7,
            functions: vec![30, 31],
            attach_object: 1,
        }
    }

    #[test]
    fn programs_are_found_by_entry() {
        let progs: Progs = [prog(4, &[0x100, 0x200]), prog(5, &[])]
            .into_iter()
            .collect();
        assert_eq!(progs.at(0x100).map(|prog| prog.id), Some(4));
        // That is a function of it.
        assert_eq!(progs.at(0x200), None);
        assert_eq!(progs.get(4).unwrap().function_entry(31), Some(0x200));
        assert_eq!(progs.get(5).unwrap().function_entry(31), None);
    }

    #[test]
    fn kallsyms_has_the_whole_name() {
        let symbol = "100 t bpf_prog_6deef7357e7b4530_a_name_of_15_characters_and_more\t[bpf]";
        let kallsyms = Kallsyms::parse(symbol.to_owned());
        let name = |prog: Prog| prog.document(&kallsyms).name;
        assert_eq!(name(prog(4, &[0x100])), "a_name_of_15_characters_and_more");
        assert_eq!(name(prog(4, &[0x200])), "a_name_of_15_ch");
    }

    #[test]
    fn records_of_functions_may_grow() {
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 9, 9, 9, 9].repeat(2);
        assert_eq!(function_types(&bytes, 12), [2, 2]);
        assert!(function_types(&bytes, 4).is_empty());
        assert!(function_types(&[], 0).is_empty());
    }

    #[test]
    fn kinds_have_names() {
        assert_eq!(kind(sys::BPF_PROG_TYPE_TRACING), "tracing");
        assert_eq!(kind(sys::BPF_PROG_TYPE_STRUCT_OPS), "struct_ops");
        assert_eq!(kind(100_000), "100000");
    }
}
