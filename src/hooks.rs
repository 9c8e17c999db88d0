// SPDX-License-Identifier: GPL-2.0

//! Every trampoline and every session kfunc of the running kernel, compared or taken over.
//!
//! | room       | what it knows                                                |
//! |------------|--------------------------------------------------------------|
//! | `mode`     | off, shadow or takeover                                      |
//! | `stats`    | what has been counted                                        |
//! | `mismatch` | differences that are kept for reading                        |
//! | `builder`  | what is done with an image                                   |
//! | `inliner`  | what is done with a call of a session kfunc                  |

mod builder;
mod inliner;
mod mismatch;
mod mode;
mod stats;

use crate::{
    kapi::{
        build_call::{
            BuildCall,
            FillCall, //
        },
        entry_points::{
            EntryPoints,
            Installed, //
        },
        fixup_call::FixupCall,
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

pub(crate) use mismatch::Mismatches;
pub(crate) use mode::Mode;
pub(crate) use stats::Stats;

/// What the hooks know, shared by those who call them and those who watch.
#[pin_data]
pub(crate) struct Shared {
    platform: Arc<Platform>,
    mode: Atomic<u32>,
    pub(crate) stats: Stats,
    #[pin]
    pub(crate) mismatches: Mutex<Mismatches>,
}

impl Shared {
    /// What is done with the kernel's calls now. Each call looks once and keeps to it.
    pub(crate) fn mode(&self) -> Mode {
        Mode::from_bits(self.mode.load(Relaxed))
    }
}

/// The hooks: installed when they are first wanted, removed on drop.
#[pin_data]
pub(crate) struct Hooks {
    // Before what they refer to.
    #[pin]
    installed: Mutex<Option<Installed>>,
    pub(crate) shared: Arc<Shared>,
}

impl Hooks {
    /// Hooks that are off.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(platform: Arc<Platform>) -> Result<Arc<Self>> {
        let shared = Arc::pin_init(
            pin_init!(Shared {
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
                shared,
            }),
            GFP_KERNEL,
        )
    }

    /// Changes the mode. In mode `off`, the kernel's calls pass through once they were hooked; the
    /// hooks themselves go with the module.
    ///
    /// # Errors
    ///
    /// `EBUSY` if someone else has redirected an entry point, other errors of ftrace, `ENOMEM`.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result {
        let mut installed = self.installed.lock();
        if mode != Mode::Off && installed.is_none() {
            let answering = KBox::new(Answering(self.shared.clone()), GFP_KERNEL)?;
            let new = Installed::new(answering, self.shared.platform.bound).inspect_err(|e| {
                pr_err!("cannot hook the C builder: {e:?}\n");
            })?;
            *installed = Some(new);
        }
        self.shared.mode.store(mode.to_bits(), Relaxed);
        Ok(())
    }
}

/// Answers the kernel's calls.
struct Answering(Arc<Shared>);

impl EntryPoints for Answering {
    fn measure(&self, call: &mut BuildCall<'_>) -> Result<u32> {
        builder::measure(&self.0, call)
    }

    fn build(&self, call: &mut FillCall<'_>) -> Result<u32> {
        builder::build(&self.0, call)
    }

    fn fixup_kfunc(&self, call: &mut FixupCall<'_>) -> Result {
        inliner::fixup(&self.0, call)
    }
}
