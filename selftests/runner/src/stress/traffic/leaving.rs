// SPDX-License-Identifier: GPL-2.0

//! Tasks that are stopped at either end of an image, where it does not count them, when it
//! is replaced or let go of: only grace periods keep it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};
use rustix::event::{eventfd, EventfdFlags};

use super::{outlived, realtime};
use crate::bpf;
use crate::device::Device;
use crate::kallsyms;
use crate::perf::Breakpoint;
use crate::stress::board::Count;
use crate::stress::machine::freezer;
use crate::stress::programs::{Programs, What};
use crate::stress::turn::Turn;
use crate::tests::cookie::stay_on;

const TARGET: &str = "__x64_sys_poll";

/// How long a task is stopped, and at most.
const STOPPED: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// How many calls may pass a breakpoint.
const TRIES: u64 = 10;

pub fn missing() -> Option<String> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Some("one CPU".to_owned());
    }
    let addr = kallsyms::address_of(TARGET).ok()?;
    let breakpoint = Breakpoint::on_cpu(addr, 0);
    breakpoint.err().map(|err| format!("no breakpoints: {err}"))
}

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    let mut ids = 0;
    while turn.next_inside()? {
        ids += 2;
        // Who is frozen leaves the function, and enters it again.
        let _unfrozen = freezer::unfrozen()?;
        once(turn, ids)?;
        turn.pause(300)?;
    }
    Ok(())
}

/// Two sessions on the function, of which the first one is attached.
struct Scene {
    device: Device,
    progs: [OwnedFd; 2],
    places: [usize; 2],
    /// Where tasks are stopped.
    cpu: usize,
}

fn once(turn: &mut Turn<'_>, ids: u64) -> Result<()> {
    let programs = &turn.stage.programs;
    let id = programs.function(TARGET)?.id;
    let places = [turn.places().start, turn.places().start + 1];
    for place in places {
        programs.clear(place, 0)?;
    }
    let load = || programs.load_for(What::WithCookie, false, id);
    let progs = match (load(), load()) {
        (Err(err), _) | (_, Err(err)) if turn.stage.may_fail(&err) => return Ok(()),
        (first, second) => [first, second].map(|prog| prog.context("cannot load a session")),
    };
    let [first, second] = progs;
    let Ok(device) = Device::open() else {
        turn.count(Count::Refused, 1);
        return turn.pause(100);
    };
    let scene = Scene {
        device,
        progs: [first?, second?],
        places,
        cpu: turn.draw.below(turn.stage.cpus),
    };
    if !scene.add(turn, 0, ids)? {
        return Ok(());
    }
    turn.count(Count::Attached, 1);
    stay_on((scene.cpu + 1) % turn.stage.cpus);
    // The kernel would let others have the CPU after a second.
    realtime::without_limit(scene.cpu);
    if turn.each(&[true, false]) {
        on_its_way_in(turn, &scene, ids + 1)
    } else {
        on_its_way_out(turn, &scene)
    }
}

impl Scene {
    /// `false` where memory is short.
    fn add(&self, turn: &Turn<'_>, nr: usize, id: u64) -> Result<bool> {
        let cookie = turn.cookie(self.places[nr], id);
        match self.device.add(self.progs[nr].as_fd(), cookie) {
            Err(err) if turn.stage.may_fail(&err) => Ok(false),
            added => added.context("cannot attach").map(|()| true),
        }
    }

    /// How often a call of this process has entered the function, as far as the first session saw
    /// it.
    fn entries(&self, programs: &Programs) -> Result<u64> {
        let missed = bpf::misses(self.progs[0].as_fd())?;
        Ok(missed + programs.seen(self.places[0])?.own_entries)
    }

    /// What the sessions saw, where the first one has seen the returns of its calls or not.
    fn check(&self, turn: &mut Turn<'_>, returned: bool) -> Result<()> {
        let missed = bpf::misses(self.progs[0].as_fd())?;
        let [first, second] = self.places.map(|place| turn.stage.programs.seen(place));
        let (first, second) = (first?, second?);
        turn.count(Count::Checked, 1);
        let returns = if returned { first.own_entries } else { 0 };
        ensure!(
            first.wrong + second.wrong + second.own_returns == 0
                && first.alone <= missed
                && first.own_returns.abs_diff(returns) <= missed,
            "sessions saw {first:?} and {second:?}"
        );
        Ok(())
    }
}

/// A task is stopped at the first instruction of an image, which is replaced meanwhile, and
/// sleeps in the function for longer than the image would live without it.
fn on_its_way_in(turn: &mut Turn<'_>, scene: &Scene, id: u64) -> Result<()> {
    turn.say("stop a task on its way in")?;
    let programs = &turn.stage.programs;
    let (stop, sleeper) = (Stop::default(), Sleeper::new(scene.cpu)?);
    let image = scene.device.info()?.image_addr;
    thread::scope(|scope| -> Result<()> {
        let _last = Release(&stop, &sleeper);
        scope.spawn(|| stop.first_at(image, scene.cpu));
        turn.wait_for("a breakpoint", || Ok(stop.is_set()))?;
        scope.spawn(|| sleeper.sleep());
        // Emulated CPUs pass over a breakpoint now and then.
        for entry in 1..=TRIES {
            turn.wait_for("a task comes", || {
                Ok(stop.has_stopped() || scene.entries(programs)? >= entry)
            })?;
            if stop.has_stopped() || entry == TRIES {
                break;
            }
            sleeper.wake()?;
        }
        scene.add(turn, 1, id)?;
        turn.count(Count::Changed, 1);
        let before = scene.entries(programs)?;
        // If it still is, it was then.
        let stopped = u64::from(stop.has_stopped());
        turn.count(Count::Actions, stopped);
        let entries = before + stopped;
        stop.go();
        turn.wait_for("the task is in", || Ok(scene.entries(programs)? >= entries))?;
        outlived::wait(turn)
    })?;
    scene.check(turn, true)
}

/// A task is stopped at the last instructions of an image that nobody else needs any more.
fn on_its_way_out(turn: &mut Turn<'_>, scene: &Scene) -> Result<()> {
    turn.say("stop a task on its way out")?;
    let programs = &turn.stage.programs;
    let (stop, sleeper) = (Stop::default(), Sleeper::new(scene.cpu)?);
    let image = scene.device.info()?.image_addr;
    let way_out = image + way_out(&scene.device.image()?).context("an image without a call")?;
    thread::scope(|scope| -> Result<()> {
        let _last = Release(&stop, &sleeper);
        let asleep = scope.spawn(|| sleeper.sleep());
        turn.wait_for("a task is asleep", || Ok(scene.entries(programs)? > 0))?;
        scene.device.remove(scene.progs[0].as_fd())?;
        turn.count(Count::Detached, 1);
        // Nothing but the task in there keeps it any more.
        outlived::wait(turn)?;
        scope.spawn(|| stop.first_at(way_out, scene.cpu));
        turn.wait_for("a breakpoint", || Ok(stop.is_set()))?;
        sleeper.leave()?;
        let left = || Ok(stop.has_stopped() || asleep.is_finished());
        turn.wait_for("the task leaves", left)?;
        if stop.has_stopped() {
            turn.wait(STOPPED)?;
            turn.count(Count::Actions, 1);
            let is_there = outlived::is_listed(TARGET, image)?;
            ensure!(
                is_there || !stop.has_stopped(),
                "an image is freed, and a task is at its last instructions"
            );
        }
        Ok(())
    })?;
    scene.check(turn, false)
}

/// Where a task goes once the image does not count it any more: behind the last call, which says
/// so. In bytes from the start.
fn way_out(image: &[u8]) -> Option<u64> {
    let is_call = |insn: &Instruction| {
        matches!(
            insn.flow_control(),
            FlowControl::Call | FlowControl::IndirectCall
        )
    };
    let insns = Decoder::new(64, image, DecoderOptions::NONE).into_iter();
    insns.filter(is_call).last().map(|call| call.next_ip())
}

/// A place where a task is stopped.
#[derive(Default)]
struct Stop {
    is_set: AtomicBool,
    has_stopped: AtomicBool,
    go: AtomicBool,
}

impl Stop {
    /// Takes the CPU from the first one that comes to `addr`, until told to let go.
    fn first_at(&self, addr: u64, cpu: usize) -> Result<()> {
        stay_on(cpu);
        realtime::first(10)?;
        let breakpoint = Breakpoint::on_cpu(addr, cpu);
        self.is_set.store(true, Relaxed);
        // Others may have taken all.
        let Ok(breakpoint) = breakpoint else {
            return Ok(());
        };
        let mut come = false;
        while !come && !self.go.load(Relaxed) {
            come = breakpoint.wait(Duration::from_millis(20))?;
        }
        let begin = Instant::now();
        while !self.go.load(Relaxed) && begin.elapsed() < LONGEST {
            self.has_stopped.store(true, Relaxed);
            std::hint::spin_loop();
        }
        self.has_stopped.store(false, Relaxed);
        Ok(())
    }

    /// Whether a task that comes from now on is stopped, or none will be.
    fn is_set(&self) -> bool {
        self.is_set.load(Relaxed)
    }

    fn has_stopped(&self) -> bool {
        self.has_stopped.load(Relaxed)
    }

    fn go(&self) {
        self.go.store(true, Relaxed);
    }
}

/// A task that sleeps in the function until it is woken, again and again.
struct Sleeper {
    cpu: usize,
    event: OwnedFd,
    over: AtomicBool,
}

impl Sleeper {
    fn new(cpu: usize) -> Result<Self> {
        Ok(Self {
            cpu,
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            over: AtomicBool::new(false),
        })
    }

    fn sleep(&self) {
        stay_on(self.cpu);
        while !self.over.load(Relaxed) {
            let mut event = libc::pollfd {
                fd: self.event.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: One descriptor is given, which lives as long as the call.
            unsafe { libc::poll(&mut event, 1, -1) };
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
        }
    }

    fn wake(&self) -> Result<()> {
        rustix::io::write(&self.event, &1u64.to_ne_bytes())?;
        Ok(())
    }

    /// Wakes it for the last time.
    fn leave(&self) -> Result<()> {
        self.over.store(true, Relaxed);
        self.wake()
    }
}

/// At last, or after an error, all threads go on and end.
struct Release<'a>(&'a Stop, &'a Sleeper);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.go();
        self.1.leave().expect("an event can be written");
    }
}
