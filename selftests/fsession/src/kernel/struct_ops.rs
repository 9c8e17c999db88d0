// SPDX-License-Identifier: GPL-2.0

//! Whose struct_ops tables are whose: the map of a table has the numbers of its programs.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use btf_rs::{BtfType, Type};
use libbpf_sys as sys;
use trampoline::document::{Kind, Owner};

use super::btf::{Btf, Types};
use super::kallsyms::{self, Image};
use super::objects::{check, own};
use super::owners::Owners;

/// How the kernel names the type of a map's value, by that of the table.
const VALUE: &str = "bpf_struct_ops_";
/// The table in it.
const DATA: &str = "data";

/// The owners of struct_ops programs, by the name of table and member (with a `_` between them)
/// and the program.
#[derive(Default)]
pub struct Tables(BTreeMap<(String, u32), Vec<Owner>>);

impl Tables {
    /// What cannot be read is left out. Without an image of struct_ops, nothing is read.
    pub fn load(btf: &Btf, owners: &Owners, images: &[Image]) -> Self {
        let mut tables = Self::default();
        if images.iter().all(|image| image.kind != Kind::StructOps) {
            return tables;
        }
        for link in owners.links() {
            let Some(map) = link.map else { continue };
            for (member, program) in members(btf, map).unwrap_or_default() {
                let of = owners.of(link).into_iter().map(|owner| Owner {
                    program: Some(program),
                    ..owner
                });
                tables.0.entry((member, program)).or_default().extend(of);
            }
        }
        tables
    }

    /// Those of the program in the image of this symbol.
    pub fn owners(&self, symbol: &str, program: u32) -> Vec<Owner> {
        let member = kallsyms::struct_ops_member(symbol).unwrap_or_default();
        let owners = self.0.get(&(member.to_owned(), program));
        owners.cloned().unwrap_or_default()
    }
}

/// The members of a map's table that are programs: `tcp_congestion_ops_init`, and which.
fn members(btf: &Btf, map: u32) -> Result<Vec<(String, u32)>> {
    // SAFETY: The call takes a number only.
    let fd = own(unsafe { sys::bpf_map_get_fd_by_id(map) })?;
    let mut info = sys::bpf_map_info::default();
    let mut len = mem::size_of::<sys::bpf_map_info>() as u32;
    // SAFETY: `len` is the size of `info`, which has no pointers in it.
    check(unsafe { sys::bpf_map_get_info_by_fd(fd.as_raw_fd(), &mut info, &mut len) })?;
    let value = value(&fd, info.value_size)?;
    // The BTF object is told since Linux 6.9, before it was always the kernel's.
    let types = match info.btf_vmlinux_id {
        0 => btf.vmlinux(),
        object => btf.types(object)?,
    };
    programs(&types, info.btf_vmlinux_value_type_id, &value)
}

/// The one value of a map with `size` bytes in a value.
fn value(map: &OwnedFd, size: u32) -> io::Result<Vec<u8>> {
    let key = 0_u32;
    // The kernel copies values in steps of 8 bytes.
    let mut value = vec![0_u8; size.next_multiple_of(8) as usize];
    // SAFETY: struct_ops maps have keys of 4 bytes, and the value has room for one.
    check(unsafe {
        sys::bpf_map_lookup_elem(
            map.as_raw_fd(),
            std::ptr::from_ref(&key).cast(),
            value.as_mut_ptr().cast(),
        )
    })?;
    Ok(value)
}

/// In place of pointers to functions, the value has numbers of programs.
fn programs(types: &Types, value_type: u32, value: &[u8]) -> Result<Vec<(String, u32)>> {
    let Type::Struct(outer) = types.plain(value_type)?.ty else {
        return Ok(Vec::new());
    };
    let name = types.name(&outer);
    let table = name.strip_prefix(VALUE).context("no struct_ops value")?;
    let data = outer.members.iter().find(|it| types.name(*it) == DATA);
    let data = data.context("no table in a struct_ops value")?;
    let Type::Struct(inner) = types.plain(data.get_type_id().unwrap_or_default())?.ty else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for member in &inner.members {
        let Type::Ptr(ptr) = types.plain(member.get_type_id().unwrap_or_default())?.ty else {
            continue;
        };
        let to = types.plain(ptr.get_type_id().unwrap_or_default())?.ty;
        if !matches!(to, Type::FuncProto(_)) {
            continue;
        }
        let at = (data.bit_offset() + member.bit_offset()) as usize / 8;
        let word = value.get(at..at + 8).and_then(|it| it.try_into().ok());
        let id = word.map_or(0, u64::from_ne_bytes);
        if let Some(id) = u32::try_from(id).ok().filter(|id| *id != 0) {
            found.push((format!("{table}_{}", types.name(member)), id));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::btf::blob::{kind, Blob};
    use super::*;

    #[test]
    fn numbers_of_programs_stand_in_place_of_functions() {
        let mut blob = Blob::default();
        let int = blob.int("int", 4, true);
        let proto = blob.proto(int, &[]);
        let function = blob.refer(kind::PTR, "", proto);
        let pointer = blob.refer(kind::PTR, "", int);
        let members = [
            ("flags", int, 0),
            ("init", function, 8),
            ("name", pointer, 16),
            ("exit", function, 24),
        ];
        let table = blob.structure("my_ops", 32, &members);
        let value = [("common", int, 0), ("data", table, 64)];
        let value = blob.structure("bpf_struct_ops_my_ops", 96, &value);
        let types = blob.types();

        let mut bytes = [0; 96];
        bytes[72] = 31;
        // No program, though it looks like one.
        bytes[64] = 5;
        bytes[80] = 6;
        let found = programs(&types, value, &bytes).unwrap();
        assert_eq!(found, [("my_ops_init".to_owned(), 31)]);
        // The kernel's value is shorter than its type says.
        assert!(programs(&types, value, &bytes[..70]).unwrap().is_empty());
        assert!(programs(&types, table, &bytes).is_err());
        assert!(programs(&types, int, &bytes).unwrap().is_empty());
    }
}
