// SPDX-License-Identifier: GPL-2.0

//! The table at the end.

use super::board::{Count, Slot, COUNTS};
use super::watch::Watch;

const COLUMNS: [(Count, &str); COUNTS] = [
    (Count::Attached, "attached"),
    (Count::Detached, "detached"),
    (Count::Changed, "changed"),
    (Count::Switched, "switched"),
    (Count::Loaded, "loaded"),
    (Count::Reloaded, "reloaded"),
    (Count::Refused, "refused"),
    (Count::Actions, "actions"),
    (Count::Events, "events"),
    (Count::Missed, "missed"),
    (Count::Checked, "checked"),
];

pub fn print(watch: &Watch, slots: &[Slot], good: bool) {
    let wrong = if good { "0" } else { "?" };
    let mut shown: Vec<&str> = Vec::new();
    println!();
    for player in &watch.players {
        let name = player.actor.name;
        if shown.contains(&name) {
            continue;
        }
        shown.push(name);
        let all = watch.players.iter().zip(slots);
        let same: Vec<_> = all.filter(|(other, _)| other.actor.name == name).collect();
        let steps: u64 = same.iter().map(|(_, slot)| slot.step).sum();
        let mut text = format!("{name:12} x{} steps {steps}", same.len());
        for (count, title) in COLUMNS {
            let sum: u64 = same
                .iter()
                .map(|(_, slot)| slot.counts[count as usize])
                .sum();
            if sum > 0 {
                text += &format!(", {title} {sum}");
            }
        }
        println!("  {text}");
    }
    let mut total = format!("killed {}", watch.kills);
    for (count, title) in COLUMNS {
        let sum: u64 = slots.iter().map(|slot| slot.counts[count as usize]).sum();
        total += &format!(", {title} {sum}");
    }
    // Each would have ended the run.
    println!("  total: {total}, losses {wrong}, leaks {wrong}, splats {wrong}");
    let idle = watch
        .players
        .iter()
        .zip(slots)
        .filter(|(_, slot)| slot.step == 0);
    let idle: Vec<_> = idle.map(|(player, _)| player.name()).collect();
    if !idle.is_empty() {
        println!("  not played: {}", idle.join(", "));
    }
    for (name, why) in &watch.missing {
        println!("  not here: {name}: {why}");
    }
}
