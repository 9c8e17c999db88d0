// SPDX-License-Identifier: GPL-2.0

//! The file `stats`.

use anyhow::Result;

use crate::harness::Env;
use crate::hooks::{Mode, Stats};

tests! {
    hooks_stats: "stats holds a name and a value a line",
}

fn hooks_stats(env: &Env) -> Result<()> {
    let _hooked = env.hook(Mode::Off)?;
    let stats = Stats::read()?;
    check_eq!(
        stats.names().collect::<Vec<_>>(),
        [
            "built",
            "compared",
            "different",
            "errors",
            "fallbacks",
            "identical",
            "kfunc_compared",
            "kfunc_inlined",
            "refused",
        ],
        "counters"
    );
    // Reading changes nothing, and neither does a mode without programs.
    check_eq!(stats.since()?.get("compared")?, 0, "images compared");
    Ok(())
}
