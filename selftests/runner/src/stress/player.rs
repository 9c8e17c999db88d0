// SPDX-License-Identifier: GPL-2.0

//! An actor's process: from its start to the reason why it ended.

use rustix::process::{setpriority_process, Pid, Signal, WaitStatus};

use super::board::Slot;
use super::cast::Actor;
use super::draw::Draw;
use super::stage::Stage;
use super::turn::Turn;

/// An actor on the stage.
pub struct Player {
    pub actor: &'static Actor,
    pub instance: usize,
    pub slot: usize,
    pub life: u64,
    /// How often it was on.
    pub scenes: u64,
    pub pid: Option<Pid>,
}

impl Player {
    pub fn name(&self) -> String {
        format!("{}#{}", self.actor.name, self.instance)
    }
}

/// The new process. Gives its exit status.
pub fn perform(stage: &Stage, player: &Player) -> i32 {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let Player {
        actor,
        instance,
        slot,
        life,
        ..
    } = player;
    let draw = Draw::new(stage.seed, actor.name, *instance as u64, *life);
    let Ok(mut turn) = Turn::new(stage, draw, *instance, *life, *slot, actor.mortal) else {
        return 2;
    };
    if let Err(err) = setpriority_process(None, actor.nice) {
        let _ = turn.fail(&format!("cannot have priority {}: {err}", actor.nice));
        return 1;
    }
    let acted = std::panic::AssertUnwindSafe(|| (actor.act)(&mut turn));
    let why = match std::panic::catch_unwind(acted) {
        Ok(Ok(())) => return 0,
        Ok(Err(err)) => format!("{err:#}"),
        Err(_) => "it panicked".to_owned(),
    };
    let _ = turn.fail(&why);
    1
}

/// Why a process ended.
pub fn ended(status: &WaitStatus, slot: &Slot) -> String {
    match (
        slot.why(),
        status.exit_status(),
        status.terminating_signal(),
    ) {
        (why, Some(1), _) if !why.is_empty() => why,
        (_, Some(status), _) => format!("it ended with status {status}"),
        (_, _, Some(signal)) => format!("it was killed by signal {signal}"),
        _ => "it ended".to_owned(),
    }
}
