// SPDX-License-Identifier: GPL-2.0

//! Who keeps programs attached: BPF links and descriptors of the module's device, in processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_sys as sys;
use rustix::process::{pidfd_getfd, pidfd_open, Pid, PidfdFlags, PidfdGetfdFlags};
use trampoline::document::Owner;
use uapi::device::{Device, Info, PATH as DEVICE};

use super::objects;

/// A link, as `/proc/PID/fdinfo` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub id: u32,
    /// `tracing`, `tracing_multi`, `struct_ops`, …
    pub kind: String,
    /// The program, of links that have one.
    pub program: Option<u32>,
    /// The map, of struct_ops.
    pub map: Option<u32>,
    /// What is traced: the BTF object or program, and the type there.
    pub targets: Vec<(u32, u32)>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: u32,
    pub comm: String,
}

/// A trampoline of the module's device, and a process that has it open.
pub struct Descriptor {
    pub process: Process,
    pub info: Info,
    /// The bytes of the current image.
    pub code: Vec<u8>,
}

#[derive(Default)]
pub struct Owners {
    links: BTreeMap<u32, Link>,
    /// The processes that have a link open, by its number.
    holders: BTreeMap<u32, BTreeSet<Process>>,
    pub descriptors: Vec<Descriptor>,
}

impl Owners {
    /// Looks at all links and into all processes. Those that may not be looked into, or that end
    /// meanwhile, are left out.
    ///
    /// # Errors
    ///
    /// It takes CAP_SYS_ADMIN.
    pub fn load() -> Result<Self> {
        let mut owners = Self {
            links: links()?,
            ..Self::default()
        };
        for entry in fs::read_dir("/proc").context("cannot read /proc")? {
            let pid = entry
                .ok()
                .and_then(|it| it.file_name().to_str()?.parse().ok());
            if let Some(pid) = pid {
                // (See above.)
                let _ = owners.look_into(pid);
            }
        }
        Ok(owners)
    }

    fn look_into(&mut self, pid: u32) -> io::Result<()> {
        let proc = Path::new("/proc").join(pid.to_string());
        let mut process = None;
        for entry in fs::read_dir(proc.join("fd"))? {
            let entry = entry?;
            let Ok(file) = fs::read_link(entry.path()) else {
                continue;
            };
            let is_device = file.as_os_str() == DEVICE;
            let is_bpf = file.to_string_lossy().starts_with("anon_inode:bpf");
            if !is_device && !is_bpf {
                continue;
            }
            let process = process.get_or_insert_with(|| {
                let comm = fs::read_to_string(proc.join("comm")).unwrap_or_default();
                let comm = comm.trim_end().to_owned();
                Process { pid, comm }
            });
            if is_device {
                let number = entry.file_name().to_string_lossy().parse();
                if let Some(found) = number.ok().and_then(|fd| descriptor(process, fd).ok()) {
                    self.descriptors.push(found);
                }
                continue;
            }
            let fdinfo = fs::read_to_string(proc.join("fdinfo").join(entry.file_name()));
            if let Some(link) = fdinfo.ok().and_then(|text| parse_link(&text)) {
                let holders = self.holders.entry(link.id).or_default();
                holders.insert(process.clone());
                // It may be newer than the list.
                self.links.entry(link.id).or_insert(link);
            }
        }
        Ok(())
    }

    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The owners of a link, or the one without a process: it is pinned, or in use by the kernel
    /// or by a descriptor on its way between processes.
    pub fn of(&self, link: &Link) -> Vec<Owner> {
        let owner = |process: Option<&Process>| Owner {
            pid: process.map(|it| it.pid),
            comm: process.map_or_else(String::new, |it| it.comm.clone()),
            link: Some(link.id),
            program: link.program,
        };
        match self.holders.get(&link.id) {
            Some(processes) => processes.iter().map(|it| owner(Some(it))).collect(),
            None => vec![owner(None)],
        }
    }
}

/// All links by number: what this process is told when it has them open itself.
fn links() -> Result<BTreeMap<u32, Link>> {
    let mut links = BTreeMap::new();
    for id in objects::link_ids() {
        let id = id.map_err(|err| objects::explain(err, "the BPF links"))?;
        // It may be gone by now, or be about to be made.
        // SAFETY: The call takes a number only.
        let Ok(fd) = objects::own(unsafe { sys::bpf_link_get_fd_by_id(id) }) else {
            continue;
        };
        let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        links.extend(parse_link(&text).map(|link| (link.id, link)));
    }
    Ok(links)
}

/// The descriptor `fd` of a process, as one of ours.
fn descriptor(process: &Process, fd: RawFd) -> Result<Descriptor> {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    let pidfd = pidfd_open(pid.context("no process")?, PidfdFlags::empty())?;
    let device = Device::from(pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty())?);
    // The image may change between both.
    let mut info = device.info()?;
    loop {
        let code = device.image()?;
        let now = device.info()?;
        if now.generation == info.generation {
            return Ok(Descriptor {
                process: process.clone(),
                info,
                code,
            });
        }
        info = now;
    }
}

/// `name:\tvalue` a line; a link to several functions has a table at its end. None for what is no
/// link.
fn parse_link(fdinfo: &str) -> Option<Link> {
    let mut link = Link::default();
    let mut object = None;
    let mut lines = fdinfo.lines();
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once(':') else {
            if line.starts_with("obj-id") {
                link.targets.extend(lines.by_ref().filter_map(table_row));
            }
            continue;
        };
        let value = value.trim();
        let number = value.parse().ok();
        match name {
            "link_type" => value.clone_into(&mut link.kind),
            "link_id" => link.id = number?,
            "prog_id" => link.program = number.filter(|id| *id != 0),
            "map_id" => link.map = number,
            "target_obj_id" => object = number,
            "target_btf_id" => link.targets.extend(object.zip(number)),
            _ => {}
        }
    }
    (link.id != 0).then_some(link)
}

/// `obj-id btf-id cookie func`
fn table_row(line: &str) -> Option<(u32, u32)> {
    let mut words = line.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "pos:\t0\nflags:\t02000000\nmnt_id:\t15\nino:\t1057\n";

    #[test]
    fn links_are_read() {
        let text = format!(
            "{HEAD}link_type:\ttracing\nlink_id:\t7\nprog_tag:\t6deef7357e7b4530\nprog_id:\t31\n\
             attach_type:\t24\ntarget_obj_id:\t1\ntarget_btf_id:\t58123\ncookie:\t0\n"
        );
        let link = Link {
            id: 7,
            kind: "tracing".into(),
            program: Some(31),
            map: None,
            targets: vec![(1, 58123)],
        };
        assert_eq!(parse_link(&text), Some(link));
    }

    #[test]
    fn links_to_many_functions_have_a_table() {
        let text = format!(
            "{HEAD}link_type:\ttracing_multi\nlink_id:\t8\nprog_tag:\t00\nprog_id:\t31\n\
             attach_type:\t60\ncnt:\t2\nobj-id\t btf-id\t cookie\t func\n\
             1\t 58123\t 0\t vfs_read+0x4/0x3f0\n\
             9\t 140001\t 5\t ext4_file_open+0x4/0x2a0 [ext4]\n"
        );
        let link = parse_link(&text).unwrap();
        assert_eq!(link.targets, [(1, 58123), (9, 140_001)]);
        assert_eq!(link.kind, "tracing_multi");
    }

    #[test]
    fn struct_ops_have_a_map() {
        let text = format!("{HEAD}link_type:\tstruct_ops\nlink_id:\t9\nprog_id:\t0\nmap_id:\t4\n");
        let link = parse_link(&text).unwrap();
        assert_eq!((link.program, link.map), (None, Some(4)));
    }

    #[test]
    fn other_descriptors_are_no_links() {
        assert_eq!(parse_link(HEAD), None);
        let map = format!("{HEAD}map_type:\t1\nmap_id:\t3\n");
        assert_eq!(parse_link(&map), None);
        assert_eq!(parse_link("link_id:\tmany\n"), None);
    }

    #[test]
    fn a_link_that_no_process_has_is_nobodys() {
        let mut owners = Owners::default();
        let link = Link {
            id: 7,
            program: Some(31),
            ..Link::default()
        };
        assert_eq!(owners.of(&link)[0].pid, None);
        let process = Process {
            pid: 12,
            comm: "demo".into(),
        };
        owners.holders.entry(7).or_default().insert(process);
        let of = owners.of(&link);
        assert_eq!(of.len(), 1);
        assert_eq!((of[0].pid, of[0].comm.as_str()), (Some(12), "demo"));
    }
}
