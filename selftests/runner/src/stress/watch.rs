// SPDX-License-Identifier: GPL-2.0

//! Starts the actors, watches them, kills some, and ends them all. The first thing
//! that goes wrong is reported, with the command that does it all again.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{kill_process, setpriority_process, waitpid, Pid, Signal, WaitOptions};

use super::accounts::Accounts;
use super::board::{now, Slot};
use super::cast::{Actor, Number, CAST};
use super::draw::Draw;
use super::guard::Guard;
use super::player::{ended, perform, Player};
use super::stage::{Stage, SLOTS};
use super::{gate, stuck, summary};
use crate::klog::Klog;
use crate::kmod;
use crate::targets;

/// How long the same guests are on, and how many.
const SCENE: Duration = Duration::from_secs(6);
const GUESTS: usize = 5;

/// How long a step may take before it is told where it is.
const SLOW: Duration = Duration::from_secs(15);

/// What is asked for.
pub struct Order {
    pub seconds: u64,
    pub seed: u64,
    /// What `make` takes to have this kernel again.
    pub kernel: Vec<String>,
    /// All, if empty.
    pub actors: Vec<String>,
    /// After how many seconds without a step an actor hangs.
    pub patience: u64,
    pub bpf: PathBuf,
    pub module: PathBuf,
}

pub struct Watch {
    stage: Stage,
    pub players: Vec<Player>,
    pub missing: Vec<(&'static str, String)>,
    pub kills: u64,
    klog: Klog,
    told_slow: bool,
}

/// Runs it all. `false` when something was wrong, which has been told.
pub fn run(order: &Order) -> Result<bool> {
    let begin = Instant::now();
    // Before all actors, each of which has its own.
    setpriority_process(None, -15).context("cannot go first, is this root?")?;
    let klog = Klog::open(None).context("cannot read the kernel log, is this root?")?;
    let patience = Duration::from_secs(order.patience);
    let stage = Stage::new(&order.bpf, &order.module, order.seed, patience)?;
    let _guard = Guard::start(&stage.board)?;
    stage.board.deadline(Some(2 * patience))?;
    // Those that stay come first: or else what the module's init leaves free is theirs, and
    // stack traces that lead there get names.
    let others = [targets::MODULE, gate::MODULE].map(|name| stage.other_module(name));
    for module in others.iter().chain([&order.module]) {
        kmod::load(module).with_context(|| format!("cannot load {}", module.display()))?;
    }
    let mut watch = Watch {
        stage,
        players: Vec::new(),
        missing: Vec::new(),
        kills: 0,
        klog,
        told_slow: false,
    };
    watch.cast(&order.actors)?;
    println!(
        "stress: seed {}, {} s, {} actors on {} CPUs",
        order.seed,
        order.seconds,
        watch.players.len(),
        watch.stage.cpus
    );
    let result = Accounts::open(&watch.stage).and_then(|accounts| {
        println!("begins after {} s", begin.elapsed().as_secs());
        watch.stage.board.deadline(None)?;
        watch.play(Duration::from_secs(order.seconds))?;
        watch.end()?;
        watch.stage.board.deadline(Some(2 * patience))?;
        accounts.close(&watch.stage)?;
        watch.check_log(true)
    });
    watch.stage.board.deadline(None)?;
    let slots = watch.slots()?;
    summary::print(&watch, &slots, result.is_ok());
    let took = begin.elapsed().as_secs();
    let Err(err) = result else {
        println!("stress: PASS after {took} s");
        return Ok(true);
    };
    println!("stress: FAIL after {took} s: {err:#}");
    for (player, slot) in watch.players.iter().zip(&slots) {
        println!(
            "  {:14} step {:6}  {}",
            player.name(),
            slot.step,
            slot.doing()
        );
    }
    let actors = match order.actors.as_slice() {
        [] => String::new(),
        names => format!(" ACTORS='{}'", names.join(" ")),
    };
    let mut words = order.kernel.clone();
    words.push(format!("SEED={}", order.seed));
    words.push(format!("SECONDS={}", order.seconds));
    println!("reproduce: make stress {}{actors}", words.join(" "));
    Ok(false)
}

impl Watch {
    fn cast(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            ensure!(
                CAST.iter().any(|actor| actor.name == name),
                "there is no actor {name}, see stress --list"
            );
        }
        let wanted = |actor: &&Actor| names.is_empty() || names.iter().any(|n| n == actor.name);
        for actor in CAST.iter().filter(wanted) {
            if let Some(why) = (actor.missing)() {
                self.missing.push((actor.name, why));
                continue;
            }
            let number = match actor.number {
                Number::Few(number) => number,
                Number::Cpus => self.stage.cpus,
            };
            for instance in 0..number {
                let slot = self.players.len();
                // The last one has the place of the cgroups' programs.
                ensure!(slot < SLOTS - 1, "more than {SLOTS} actors: see stress.h");
                self.players.push(Player {
                    actor,
                    instance,
                    slot,
                    life: 0,
                    scenes: 0,
                    pid: None,
                });
            }
        }
        let actors: Vec<_> = self
            .players
            .iter()
            .map(|player| player.actor.name)
            .collect();
        self.stage.short_of_memory = actors.contains(&"memory");
        Ok(())
    }

    fn start(&mut self, nr: usize) -> Result<()> {
        let player = &self.players[nr];
        // SAFETY: This process has one thread.
        let pid = unsafe { libc::fork() };
        ensure!(
            pid >= 0,
            "no new process: {}",
            std::io::Error::last_os_error()
        );
        if pid == 0 {
            std::process::exit(perform(&self.stage, player));
        }
        self.players[nr].pid = Pid::from_raw(pid);
        Ok(())
    }

    fn play(&mut self, time: Duration) -> Result<()> {
        let mut draw = Draw::new(self.stage.seed, "watch", 0, 0);
        // The module goes first when nobody is on the device yet: a slow kernel takes minutes to
        // get everybody off.
        let mut players = self.players.iter();
        let goes = players.any(|player| player.actor.name == "module");
        self.stage.board.leave(goes)?;
        for nr in 0..self.players.len() {
            self.start(nr)?;
        }
        let begin = Instant::now();
        let (mut kill_at, mut tell_at) = (Duration::from_secs(3), Duration::from_secs(5));
        let mut scene_at = Duration::ZERO;
        while begin.elapsed() < time {
            thread::sleep(Duration::from_millis(100));
            self.check_log(false)?;
            self.check_players(true)?;
            if begin.elapsed() > kill_at {
                kill_at = begin.elapsed() + draw.time(Duration::from_secs(4));
                self.kill_one(&mut draw)?;
            }
            if begin.elapsed() > scene_at {
                scene_at = begin.elapsed() + SCENE;
                self.scene(&mut draw)?;
            }
            if begin.elapsed() > tell_at {
                tell_at = begin.elapsed() + Duration::from_secs(5);
                self.tell(begin.elapsed())?;
            }
        }
        Ok(())
    }

    /// All of them at all times would get in each other's way: of the guests, some are on
    /// for a while, then others.
    fn scene(&mut self, draw: &mut Draw) -> Result<()> {
        let (guests, hosts): (Vec<_>, Vec<_>) = self.players.iter().partition(|p| p.actor.guest);
        let mut on: u64 = hosts.iter().map(|host| 1 << host.slot).sum();
        let mut names = Vec::new();
        // Those that were on least come first.
        let mut guests = guests;
        guests.sort_by_cached_key(|guest| (guest.scenes, draw.below(1 << 20)));
        // Where there are few, nobody is on all the time.
        let few = guests.len() <= GUESTS;
        guests.retain(|_| !few || draw.once_in(2));
        let slots: Vec<_> = guests.iter().take(GUESTS).map(|guest| guest.slot).collect();
        for slot in slots {
            self.players[slot].scenes += 1;
            names.push(self.players[slot].name());
            on |= 1 << slot;
        }
        println!("scene: {}", names.join(", "));
        Ok(self.stage.board.on(on)?)
    }

    /// Should the kernel die now, this is what the world outside knows.
    fn tell(&self, at: Duration) -> Result<()> {
        let steps: Vec<_> = self
            .players
            .iter()
            .zip(self.slots()?)
            .filter(|(player, _)| !player.actor.guest)
            .map(|(player, slot)| format!("{} {}", player.name(), slot.step))
            .collect();
        println!("at {} s: {}", at.as_secs(), steps.join(", "));
        Ok(())
    }

    fn kill_one(&mut self, draw: &mut Draw) -> Result<()> {
        let mortals: Vec<_> = (0..self.players.len())
            .filter(|nr| self.players[*nr].actor.mortal)
            .collect();
        if mortals.is_empty() {
            return Ok(());
        }
        let nr = *draw.pick(&mortals);
        if let Some(pid) = self.players[nr].pid {
            kill_process(pid, Signal::KILL)?;
            self.kills += 1;
        }
        Ok(())
    }

    /// Nobody has failed, and everybody goes on. Starts again who was killed.
    fn check_players(&mut self, again: bool) -> Result<()> {
        for nr in 0..self.players.len() {
            let player = &mut self.players[nr];
            let Some(pid) = player.pid else {
                continue;
            };
            let status = waitpid(Some(pid), WaitOptions::NOHANG)?;
            let mut slot = self.stage.board.read(player.slot)?;
            let Some((_, status)) = status else {
                self.check_beat(nr, pid, &slot)?;
                continue;
            };
            player.pid = None;
            if status.terminating_signal() == Some(libc::SIGKILL) && player.actor.mortal {
                player.life += 1;
                slot.inside = 0;
                self.stage.board.write(player.slot, &slot)?;
                if again {
                    self.start(nr)?;
                }
            } else if again || status.exit_status() != Some(0) {
                let name = self.players[nr].name();
                bail!(
                    "{name}, step {} ({}): {}",
                    slot.step,
                    slot.doing(),
                    ended(&status, &slot)
                );
            }
        }
        Ok(())
    }

    fn check_beat(&mut self, nr: usize, pid: Pid, slot: &Slot) -> Result<()> {
        let silent = Duration::from_millis(now().saturating_sub(slot.beat));
        // Once for all, whoever is next may wait for the same.
        if slot.beat != 0 && silent > SLOW && !std::mem::replace(&mut self.told_slow, true) {
            println!(
                "slow: {} in step {} ({}):\n{}",
                self.players[nr].name(),
                slot.step,
                slot.doing(),
                stuck::report(pid)
            );
        }
        ensure!(
            slot.beat == 0 || silent < self.stage.patience,
            "{} hangs in step {} ({}) for {} s:\n{}",
            self.players[nr].name(),
            slot.step,
            slot.doing(),
            silent.as_secs(),
            stuck::report(pid)
        );
        Ok(())
    }

    /// Has everybody come to an end.
    fn end(&mut self) -> Result<()> {
        self.stage.board.stop()?;
        let deadline = Instant::now() + self.stage.patience;
        while self.players.iter().any(|player| player.pid.is_some()) {
            self.check_log(false)?;
            self.check_players(false)?;
            if Instant::now() > deadline {
                let mut left = self
                    .players
                    .iter()
                    .filter_map(|player| Some((player, player.pid?)));
                if let Some((player, pid)) = left.next() {
                    bail!("{} does not end:\n{}", player.name(), stuck::report(pid));
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Nothing in the kernel log is a splat, or a complaint of the module.
    fn check_log(&mut self, last: bool) -> Result<()> {
        if last {
            // What was freed late may complain late.
            thread::sleep(Duration::from_millis(500));
        }
        let news = self.klog.news()?;
        let complaints = news.complaints(&[]);
        let lines = news.lines.iter().map(|line| line.text.as_str());
        ensure!(
            complaints.is_empty(),
            "{}:\n{}",
            complaints.join(", "),
            lines.collect::<Vec<_>>().join("\n")
        );
        Ok(())
    }

    fn slots(&self) -> Result<Vec<Slot>> {
        let read = |player: &Player| Ok(self.stage.board.read(player.slot)?);
        self.players.iter().map(read).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for pid in self.players.iter().filter_map(|player| player.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
