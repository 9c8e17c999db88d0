// SPDX-License-Identifier: GPL-2.0

//! Every trampoline and every session kfunc of the running kernel, compared or taken over.
//!
//! | room       | what it knows                                                |
//! |------------|--------------------------------------------------------------|
//! | `mode`     | off, shadow or takeover                                      |
//! | `stats`    | the counters                                                 |
//! | `mismatch` | differences that are kept for reading                        |
//! | `images`   | calls of the C builder                                       |
//! | `kfuncs`   | calls of session kfuncs, inlined                             |

mod images;
mod kfuncs;
mod mismatch;
mod mode;
mod stats;

use crate::{
    kapi::{
        build_call::{
            PrepareCall,
            SizeCall, //
        },
        entry_points::{
            EntryPoints,
            Installed, //
        },
        fixup_call::FixupCall,
        ftrace, //
    },
    platform::Platform,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

pub(crate) use mismatch::{
    Mismatch,
    Mismatches, //
};
pub(crate) use mode::Mode;
pub(crate) use stats::Stats;

/// The state of the hooks, shared with those who watch them.
#[pin_data]
pub(crate) struct HookState {
    platform: Arc<Platform>,
    mode: Atomic<u32>,
    pub(crate) stats: Stats,
    #[pin]
    pub(crate) mismatches: Mutex<Mismatches>,
}

impl HookState {
    /// The current mode. Each call of the kernel reads it once and keeps to it.
    pub(crate) fn mode(&self) -> Mode {
        Mode::from_bits(self.mode.load(Relaxed))
    }
}

/// The hooks: installed while the mode is another one than `off`, removed on drop.
#[pin_data]
pub(crate) struct Hooks {
    #[pin]
    installed: Mutex<Option<Installed<HookState>>>,
    pub(crate) state: Arc<HookState>,
}

impl Hooks {
    /// Hooks that are off.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(platform: Arc<Platform>) -> Result<Arc<Self>> {
        let state = Arc::pin_init(
            pin_init!(HookState {
                platform,
                mode: Atomic::new(Mode::Off.to_bits()),
                stats: Stats::default(),
                mismatches <- new_mutex!(Mismatches::default()),
            }),
            GFP_KERNEL,
        )?;
        Arc::pin_init(
            pin_init!(Self {
                installed <- new_mutex!(None),
                state,
            }),
            GFP_KERNEL,
        )
    }

    /// Changes the mode. In mode `off` the kernel's calls do not come by here at all; to get there
    /// waits until no caller is in a hook.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another user of ftrace has redirected an entry point or `kernel.ftrace_enabled` is 0,
    /// other errors of ftrace, `ENOMEM`.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result {
        let mut installed = self.installed.lock();
        if mode != Mode::Off && installed.is_none() {
            let platform = &self.state.platform;
            let new = Installed::new(self.state.clone(), platform.module, platform.symbols)
                .inspect_err(|e| pr_err!("cannot hook the C builder: {e:?}\n"))?;
            *installed = Some(new);
            platform.scratch.forget();
        }
        self.state.mode.store(mode.to_bits(), Relaxed);
        // ftrace that has died leads here for ever: the hooks answer on.
        if mode == Mode::Off && !ftrace::is_dead(self.state.platform.symbols) {
            *installed = None;
        }
        Ok(())
    }
}

impl EntryPoints for HookState {
    fn size(&self, call: &SizeCall<'_>) -> Result<u32> {
        self.measure_image(call)
    }

    fn prepare(&self, call: &PrepareCall<'_>) -> Result<u32> {
        self.build_image(call)
    }

    fn fixup_kfunc(&self, call: &mut FixupCall<'_>) -> Result {
        self.inline_kfunc(call)
    }
}
