// SPDX-License-Identifier: GPL-2.0

//! LSM programs of a cgroup: the kernel puts a program of its own on the hook,
//! which runs those of the cgroup that the task is in.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use anyhow::{ensure, Context, Result};
use libbpf_rs::{Link, MapCore, MapFlags, Object, ProgramType};

use super::super::module::reload;
use crate::bpf;
use crate::cgroup::Cgroup;
use crate::harness::{skip, Env};
use crate::hooks::{Mode, Stats};

tests! {
    hooks_cgroup: "LSM programs of a cgroup, on images of Rust",
    hooks_cgroup_changes: "they change hands between C and Rust, beside others",
    hooks_cgroup_unload: "they stay on while the module goes and comes",
}

/// Runs by program, strange calls, and whether the cgroup may not bind.
type Seen = [u64; 6];
const DENY: usize = 5;

struct Lsm {
    object: Object,
    cgroup: Cgroup,
}

impl Lsm {
    fn new(env: &Env) -> Result<Self> {
        if !ProgramType::Lsm.is_supported()? {
            return Err(skip("no LSM programs: the kernel has no CONFIG_BPF_LSM"));
        }
        let mut open = bpf::open(&env.bpf, "cgroup")?;
        bpf::set_globals(&mut open, ".rodata.config", &std::process::id())?;
        let lsm = Self {
            object: open.load().context("cannot load LSM programs")?,
            cgroup: Cgroup::new()?,
        };
        let link = lsm.attach("all_open")?;
        File::open("/proc/self/status")?;
        if lsm.seen()?[3] == 0 {
            return Err(skip("bpf is not among the LSMs (lsm=)"));
        }
        drop(link);
        lsm.set(&[0; 6])?;
        Ok(lsm)
    }

    fn seen(&self) -> Result<Seen> {
        bpf::globals(&self.object, ".bss")
    }

    fn set(&self, seen: &Seen) -> Result<()> {
        let mut maps = self.object.maps();
        let bss = maps.find(|map| map.name().to_string_lossy().ends_with(".bss"));
        let bss = bss.context("no .bss")?;
        Ok(bss.update(&0u32.to_ne_bytes(), bytemuck::bytes_of(seen), MapFlags::ANY)?)
    }

    /// Attaches a program, those of the cgroup to it.
    fn attach(&self, name: &str) -> Result<Link> {
        let mut progs = self.object.progs_mut().filter(|prog| prog.name() == name);
        let prog = progs.next().with_context(|| format!("no {name}"))?;
        let link = if name.starts_with("cgroup") {
            prog.attach_cgroup(self.cgroup.open()?.as_raw_fd())
        } else {
            prog.attach()
        };
        link.with_context(|| format!("cannot attach {name}"))
    }

    /// Opens a file and binds a socket, in the cgroup and outside, where `attached`
    /// are those that must see it.
    fn expect(&self, attached: &[&str]) -> Result<()> {
        for (inside, deny) in [(false, false), (true, false), (true, true), (false, true)] {
            let mut seen = [0; 6];
            seen[DENY] = u64::from(deny);
            self.set(&seen)?;
            if inside {
                self.cgroup.enter()?;
            }
            self.set(&seen)?;
            File::open("/proc/self/status")?;
            let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
            let seen = self.seen()?;
            self.cgroup.leave()?;

            let denied = inside && deny && attached.contains(&"cgroup_bind");
            match bound {
                Ok(_) => ensure!(!denied, "the cgroup's program did not deny"),
                Err(err) => ensure!(
                    denied && err.kind() == ErrorKind::PermissionDenied,
                    "bind() gave {err}, denied: {denied}"
                ),
            }
            for (name, nr) in [
                ("cgroup_bind", 0),
                ("cgroup_open", 1),
                ("all_bind", 2),
                ("all_open", 3),
            ] {
                let sees = attached.contains(&name) && (inside || nr >= 2);
                ensure!(
                    seen[nr] == u64::from(sees),
                    "{name} ran {} times, in the cgroup: {inside}, denied: {denied}",
                    seen[nr]
                );
            }
            check_eq!(seen[4], 0, "calls with other arguments");
        }
        Ok(())
    }
}

fn hooks_cgroup(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    let lsm = Lsm::new(env)?;
    hooked.set(Mode::Takeover)?;
    let before = Stats::read()?;
    let bind = lsm.attach("cgroup_bind")?;
    lsm.expect(&["cgroup_bind"])?;
    let open = lsm.attach("cgroup_open")?;
    lsm.expect(&["cgroup_bind", "cgroup_open"])?;
    drop(bind);
    lsm.expect(&["cgroup_open"])?;
    drop(open);
    lsm.expect(&[])?;
    let counted = before.since()?;
    check_eq!(counted.get("built")?, 2, "images built");
    counted.check_clean()
}

fn hooks_cgroup_changes(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    let lsm = Lsm::new(env)?;
    let before = Stats::read()?;
    for (first, second, third) in [
        (Mode::Off, Mode::Takeover, Mode::Shadow),
        (Mode::Takeover, Mode::Off, Mode::Takeover),
        (Mode::Shadow, Mode::Takeover, Mode::Off),
    ] {
        hooked.set(first)?;
        let cgroup = [lsm.attach("cgroup_bind")?, lsm.attach("cgroup_open")?];
        lsm.expect(&["cgroup_bind", "cgroup_open"])?;
        // A program of all on the same hook: the image is built again.
        hooked.set(second)?;
        let all = [lsm.attach("all_bind")?, lsm.attach("all_open")?];
        lsm.expect(&["cgroup_bind", "cgroup_open", "all_bind", "all_open"])?;
        hooked.set(third)?;
        drop(cgroup);
        lsm.expect(&["all_bind", "all_open"])?;
        let [bind, open] = all;
        drop(open);
        lsm.expect(&["all_bind"])?;
        drop(bind);
        lsm.expect(&[])?;
    }
    let counted = before.since()?;
    println!("{counted}");
    counted.check_clean()?;
    for name in ["built", "compared"] {
        ensure!(counted.get(name)? > 0, "nothing was {name}");
    }
    Ok(())
}

fn hooks_cgroup_unload(env: &Env) -> Result<()> {
    let hooked = env.hook(Mode::Off)?;
    let lsm = Lsm::new(env)?;
    hooked.set(Mode::Takeover)?;
    let bind = lsm.attach("cgroup_bind")?;
    let open = lsm.attach("cgroup_open")?;
    reload(env)?;
    lsm.expect(&["cgroup_bind", "cgroup_open"])?;
    // C takes an image over that Rust built.
    let all = lsm.attach("all_bind")?;
    lsm.expect(&["cgroup_bind", "cgroup_open", "all_bind"])?;
    hooked.set(Mode::Takeover)?;
    drop(bind);
    lsm.expect(&["cgroup_open", "all_bind"])?;
    drop((open, all));
    lsm.expect(&[])
}
