// SPDX-License-Identifier: GPL-2.0

//! The names of what pointers point to: how they are reached, by the offsets of this kernel's BTF.

use btf_rs::{BtfType, Member, Type};

use super::record::{TextAt, MAX_STEPS};
use crate::kernel::btf::Types;

/// Members in members without a name: what is deeper is not found.
const DEEPEST: u32 = 8;

/// A structure, members that are pointers to follow, and the member that is an array of
/// characters (none where the last pointer is the text).
type Way = (&'static str, &'static [&'static str], &'static str);

const WAYS: [Way; 19] = [
    ("file", &["f_path.dentry", "d_name.name"], ""),
    ("dentry", &["d_name.name"], ""),
    ("path", &["dentry", "d_name.name"], ""),
    ("qstr", &["name"], ""),
    ("filename", &["name"], ""),
    ("kiocb", &["ki_filp", "f_path.dentry", "d_name.name"], ""),
    (
        "vm_area_struct",
        &["vm_file", "f_path.dentry", "d_name.name"],
        "",
    ),
    ("linux_binprm", &["filename"], ""),
    ("file_system_type", &["name"], ""),
    ("super_block", &[], "s_id"),
    ("task_struct", &[], "comm"),
    ("net_device", &[], "name"),
    ("module", &[], "name"),
    ("device", &["kobj.name"], ""),
    ("kobject", &["name"], ""),
    ("kernfs_node", &["name"], ""),
    ("kmem_cache", &["name"], ""),
    ("bpf_prog", &["aux"], "name"),
    ("bpf_map", &[], "name"),
];

/// The way from a pointer to type `to`, None for types that have no name, or none here.
pub fn of(types: &Types, to: u32) -> Option<TextAt> {
    let plain = types.plain(to).ok()?;
    let Type::Struct(ty) = &plain.ty else {
        return None;
    };
    let name = types.name(ty);
    let (_, follow, array) = WAYS.iter().find(|(of, ..)| *of == name)?;
    let mut at = TextAt::default();
    let mut id = plain.id;
    for (slot, path) in at.steps.iter_mut().zip(follow.iter()) {
        let (offset, member) = find_path(types, id, path)?;
        *slot = offset;
        let Type::Ptr(ptr) = types.plain(member).ok()?.ty else {
            return None;
        };
        id = ptr.get_type_id()?;
    }
    at.nr_steps = u32::try_from(follow.len().min(MAX_STEPS)).ok()?;
    if !array.is_empty() {
        let (offset, member) = find_path(types, id, array)?;
        let Type::Array(_) = types.plain(member).ok()?.ty else {
            return None;
        };
        at.last = offset;
    }
    Some(at)
}

/// Offset in bytes and type of a member, as `f_path.dentry`.
fn find_path(types: &Types, mut id: u32, path: &str) -> Option<(u32, u32)> {
    let mut offset = 0;
    for name in path.split('.') {
        let (at, member) = find(types, id, name, 0)?;
        offset += at;
        id = member;
    }
    Some((offset, id))
}

fn find(types: &Types, id: u32, name: &str, depth: u32) -> Option<(u32, u32)> {
    if depth > DEEPEST {
        return None;
    }
    let (Type::Struct(ty) | Type::Union(ty)) = types.plain(id).ok()?.ty else {
        return None;
    };
    let place = |member: &Member| Some((member.bit_offset() / 8, member.get_type_id()?));
    if let Some(member) = ty.members.iter().find(|member| types.name(*member) == name) {
        return place(member);
    }
    let unnamed = |member: &&Member| types.name(*member).is_empty();
    ty.members.iter().filter(unnamed).find_map(|member| {
        let (outer, id) = place(member)?;
        let (inner, found) = find(types, id, name, depth + 1)?;
        Some((outer + inner, found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::blob::{kind, Blob};

    #[test]
    fn ways_follow_members() {
        let mut blob = Blob::default();
        let char = blob.int("char", 1, true);
        let text = blob.refer(kind::PTR, "", char);
        let hash = blob.int("u32", 4, false);
        let sizes = blob.members(kind::STRUCT, "", 8, &[("hash", hash, 0), ("len", hash, 32)]);
        let qstr = blob.members(
            kind::STRUCT,
            "qstr",
            16,
            &[("", sizes, 0), ("name", text, 64)],
        );
        // As in newer kernels, the name is in a union that has none.
        let names = blob.members(kind::UNION, "", 16, &[("d_name", qstr, 0)]);
        let dentry = blob.members(
            kind::STRUCT,
            "dentry",
            64,
            &[("d_flags", hash, 0), ("", names, 256)],
        );
        let to_dentry = blob.refer(kind::PTR, "", dentry);
        let path = blob.members(kind::STRUCT, "path", 16, &[("dentry", to_dentry, 64)]);
        let alias = blob.refer(kind::TYPEDEF, "path_t", path);
        let file = blob.members(kind::STRUCT, "file", 80, &[("f_path", alias, 512)]);
        let constant = blob.refer(kind::CONST, "", file);
        let comm = blob.array(char, 16);
        let task = blob.members(kind::STRUCT, "task_struct", 32, &[("comm", comm, 128)]);
        let broken = blob.members(kind::STRUCT, "module", 32, &[("name", text, 128)]);
        let other = blob.members(kind::STRUCT, "inode", 8, &[("i_ino", hash, 0)]);
        let types = blob.types();

        let way = |nr_steps, steps, last| {
            Some(TextAt {
                nr_steps,
                steps,
                last,
            })
        };
        assert_eq!(of(&types, dentry), way(1, [40, 0, 0], 0));
        assert_eq!(of(&types, constant), way(2, [72, 40, 0], 0));
        assert_eq!(of(&types, task), way(0, [0; 3], 16));
        // Members that are not what they should be, types that have no name, no structure at all.
        for none in [broken, other, char, to_dentry, 0] {
            assert_eq!(of(&types, none), None, "{none}");
        }
    }
}
