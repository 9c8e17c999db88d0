// SPDX-License-Identifier: GPL-2.0

//! Probes on the module's own functions and on the entry points that it hooks, before and
//! after it does.

use anyhow::Result;

use crate::stress::board::Count;
use crate::stress::turn::Turn;
use crate::tracing::write;

const FUNCTIONS: [&str; 6] = [
    "arch_prepare_bpf_trampoline",
    "arch_bpf_trampoline_size",
    "bpf_fixup_kfunc_call",
    "rust_fsession:rf_arch_prepare_bpf_trampoline",
    "rust_fsession:rf_arch_bpf_trampoline_size",
    "rust_fsession:rf_bpf_fixup_kfunc_call",
];

pub fn act(turn: &mut Turn<'_>) -> Result<()> {
    while turn.next()? {
        let function = *turn.draw.pick(&FUNCTIONS);
        let kind = *turn.draw.pick(&["p", "r"]);
        turn.say(format!("{kind} {function}"))?;
        if write("kprobe_events", &format!("{kind}:stress/own {function}\n")).is_err() {
            // The module may be away.
            turn.count(Count::Refused, 1);
            turn.pause(300)?;
            continue;
        }
        let enabled = write("events/stress/own/enable", "1").is_ok();
        turn.pause(300)?;
        // The module may go meanwhile, and the probe with it.
        let _ = write("events/stress/own/enable", "0");
        turn.count(
            if enabled {
                Count::Actions
            } else {
                Count::Refused
            },
            1,
        );
        turn.wait_for("the probe can be removed", || {
            Ok(write("kprobe_events", "-:stress/own\n").is_ok())
        })?;
        turn.pause(200)?;
    }
    Ok(())
}
