// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/rust_fsession`: control of the hooks, and what they have seen.

use crate::{
    hooks::{
        HookState,
        Hooks,
        Mismatches,
        Mode, //
    },
    kapi::{
        capability,
        debugfs::{
            Contents,
            Dir,
            OwnedFile, //
        },
    },
    platform::Platform,
};
use kernel::{
    cred::Credential,
    fmt,
    prelude::*,
    str::CString,
    sync::Arc,
    uaccess::UserSliceReader, //
};

/// Room for the longest name of a mode and a line end, in bytes.
const MODE_LEN: usize = 16;

/// The directory and its files, removed on drop.
pub(crate) struct Files {
    _mode: Pin<KBox<OwnedFile<ModeFile>>>,
    _stats: Pin<KBox<OwnedFile<StatsFile>>>,
    _mismatches: KVec<Pin<KBox<OwnedFile<MismatchFile>>>>,
    _mismatches_dir: Dir,
    _dir: Dir,
}

/// The mode of the hooks, to be read and set.
struct ModeFile(Arc<Hooks>);

/// The counters.
struct StatsFile(Arc<HookState>);

/// The difference of this number, if there is one.
struct MismatchFile {
    state: Arc<HookState>,
    platform: Arc<Platform>,
    number: usize,
}

impl Files {
    /// Creates the files.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(hooks: Arc<Hooks>, platform: Arc<Platform>) -> Result<Self> {
        let module = platform.module;
        let state = hooks.state.clone();
        let dir = Dir::new(c"rust_fsession", None);
        let mismatches_dir = Dir::new(c"mismatches", Some(&dir));
        let mut mismatches = KVec::with_capacity(Mismatches::MAX, GFP_KERNEL)?;
        for number in 0..Mismatches::MAX {
            let name = CString::try_from_fmt(fmt!("{number:02}"))?;
            let contents = MismatchFile {
                state: state.clone(),
                platform: platform.clone(),
                number,
            };
            let file = OwnedFile::new(&mismatches_dir, &name, contents, module);
            mismatches.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let stats = OwnedFile::new(&dir, c"stats", StatsFile(state), module);
        let stats = KBox::pin_init(stats, GFP_KERNEL)?;
        let mode = OwnedFile::new(&dir, c"mode", ModeFile(hooks), module);
        Ok(Self {
            _mode: KBox::pin_init(mode, GFP_KERNEL)?,
            _stats: stats,
            _mismatches: mismatches,
            _mismatches_dir: mismatches_dir,
            _dir: dir,
        })
    }
}

impl Contents for ModeFile {
    const MODE: u16 = 0o600;

    fn show(&self, _opener: &Credential, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0.state.mode().name())
    }

    /// Takes the name of a mode, with or without a line end. Asks for the same capabilities as
    /// the device.
    fn store(&self, from: &mut UserSliceReader) -> Result {
        if !capability::may_trace() {
            return Err(EPERM);
        }
        let mut text = [0; MODE_LEN];
        let text = text.get_mut(..from.len()).ok_or(EINVAL)?;
        from.read_slice(text)?;
        let mode = Mode::from_name(text.trim_ascii()).ok_or(EINVAL)?;
        self.0.set_mode(mode)
    }
}

impl Contents for StatsFile {
    const MODE: u16 = 0o400;

    fn show(&self, _opener: &Credential, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{}", self.0.stats))
    }
}

impl Contents for MismatchFile {
    const MODE: u16 = 0o400;

    fn show(&self, opener: &Credential, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = capability::may_see_addresses(opener, self.platform.symbols);
        match self.state.mismatches.lock().get(self.number) {
            Some(mismatch) => mismatch.show(addresses, f),
            None => Ok(()),
        }
    }
}
