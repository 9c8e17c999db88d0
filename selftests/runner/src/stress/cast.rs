// SPDX-License-Identifier: GPL-2.0

//! The actors.

use anyhow::Result;

use super::neighbours::{events, tracers};
use super::turn::Turn;
use super::{machine, neighbours, traffic, users};

/// How many of an actor there are.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Few(usize),
    /// One for each CPU.
    Cpus,
}

pub struct Actor {
    pub name: &'static str,
    pub what: &'static str,
    pub number: Number,
    /// Whether it may be killed at any time: what it leaves goes with its descriptors.
    pub mortal: bool,
    /// Whether it is on now and then, and not all the time.
    pub guest: bool,
    /// Who does something rarer goes before who does nothing else than calls; a little
    /// only: a grace period lasts until the last one of them has slept.
    pub nice: i32,
    /// Why this machine cannot have it, if so.
    pub missing: fn() -> Option<String>,
    pub act: fn(&mut Turn<'_>) -> Result<()>,
}

fn anywhere() -> Option<String> {
    None
}

const fn actor(
    name: &'static str,
    what: &'static str,
    act: fn(&mut Turn<'_>) -> Result<()>,
) -> Actor {
    Actor {
        name,
        what,
        number: Number::Few(1),
        mortal: false,
        guest: false,
        nice: 0,
        missing: anywhere,
        act,
    }
}

impl Actor {
    const fn times(mut self, number: usize) -> Self {
        self.number = Number::Few(number);
        self
    }

    const fn on_each_cpu(mut self) -> Self {
        self.number = Number::Cpus;
        self
    }

    const fn mortal(mut self) -> Self {
        self.mortal = true;
        self
    }

    const fn guest(mut self) -> Self {
        self.guest = true;
        self
    }

    const fn nice(mut self, nice: i32) -> Self {
        self.nice = nice;
        self
    }

    const fn unless(mut self, missing: fn() -> Option<String>) -> Self {
        self.missing = missing;
        self
    }
}

pub const CAST: &[Actor] = &[
    // Users.
    actor("device", "programs by the device", users::attach::device)
        .nice(-3)
        .times(3)
        .mortal(),
    actor("links", "programs by BPF links", users::attach::links)
        .nice(-3)
        .times(2)
        .mortal(),
    actor(
        "shared",
        "one descriptor for two threads",
        users::shared::act,
    )
    .nice(-3)
    .mortal(),
    actor(
        "multi",
        "one program on several functions",
        users::multi::tracing,
    )
    .nice(-3)
    .guest()
    .unless(users::multi::missing)
    .mortal(),
    actor("kprobes", "sessions of kprobes", users::multi::kprobes)
        .nice(-3)
        .guest()
        .mortal(),
    actor("loads", "programs with session kfuncs", users::loads::act).mortal(),
    actor("ops", "struct_ops come and go", users::ops::act)
        .nice(-3)
        .guest(),
    actor("cgroups", "LSM programs of a cgroup", users::cgroups::act)
        .nice(-3)
        .guest()
        .unless(users::cgroups::missing),
    actor("mode", "off, shadow and takeover", users::mode::act).times(2),
    actor("module", "the module goes and comes", users::reload::act),
    // Traffic.
    actor(
        "calls",
        "calls of the traced functions",
        traffic::calls::act,
    )
    .on_each_cpu()
    .mortal(),
    actor(
        "sleepers",
        "tasks asleep in traced functions",
        traffic::sleepers::act,
    )
    .mortal(),
    actor(
        "inside",
        "tasks asleep while programs change",
        traffic::inside::act,
    )
    .mortal(),
    actor("asleep", "tasks asleep in programs", traffic::asleep::act)
        .times(2)
        .unless(traffic::asleep::missing)
        .mortal(),
    actor(
        "leaving",
        "tasks stopped at the ends of an image",
        traffic::leaving::act,
    )
    .unless(traffic::leaving::missing)
    .mortal(),
    actor("preempt", "CPUs are taken away", traffic::preempt::act)
        .guest()
        .mortal(),
    // Neighbours.
    actor("function", "the function tracer", tracers::function)
        .guest()
        .unless(tracers::no_function),
    actor("graph", "the function_graph tracer", tracers::graph)
        .guest()
        .unless(tracers::no_graph),
    actor("irqsoff", "the irqsoff tracer", tracers::irqsoff)
        .guest()
        .unless(tracers::no_irqsoff),
    actor("blk", "the blk tracer", tracers::blk)
        .guest()
        .unless(tracers::no_blk),
    actor(
        "instance",
        "a function tracer of its own",
        tracers::instance,
    )
    .guest()
    .unless(tracers::no_function),
    actor("kprobe", "kprobe events", events::kprobe)
        .guest()
        .unless(events::no_kprobes),
    actor("kretprobe", "kretprobe events", events::kretprobe)
        .guest()
        .unless(events::no_kprobes),
    actor("fprobe", "fprobe events", events::fprobe)
        .guest()
        .unless(events::no_fprobe),
    actor("uprobe", "uprobe events", events::uprobe)
        .guest()
        .unless(events::no_uprobes),
    actor(
        "own",
        "probes on the module and on what it hooks",
        neighbours::own::act,
    )
    .guest()
    .unless(events::no_kprobes),
    actor("livepatch", "a live patch", neighbours::livepatch::act)
        .guest()
        .unless(neighbours::livepatch::missing),
    actor("keys", "static keys and tracepoints", neighbours::keys::act)
        .guest()
        .unless(neighbours::keys::missing),
    actor("perf", "samples with stack traces", neighbours::perf::act)
        .guest()
        .unless(neighbours::perf::missing),
    actor(
        "direct",
        "a direct call of another module",
        neighbours::modules::direct,
    )
    .guest(),
    actor(
        "faults",
        "a module with a kprobe",
        neighbours::modules::faults,
    )
    .guest(),
    actor("sysctl", "kernel.ftrace_enabled", neighbours::sysctl::act).guest(),
    // The machine.
    actor("hotplug", "a CPU goes and comes", machine::hotplug::act)
        .guest()
        .unless(machine::hotplug::missing),
    actor("memory", "memory becomes short", machine::memory::act).guest(),
    actor("freezer", "processes are frozen", machine::freezer::cgroup)
        .guest()
        .unless(machine::freezer::missing),
    actor(
        "suspend",
        "all of them are frozen",
        machine::freezer::suspend,
    )
    .guest()
    .unless(machine::freezer::no_suspend),
];
