// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/rust_fsession`: control of the hooks, and what they have seen.

use crate::{
    hooks::{
        Hooks,
        Mismatches,
        Mode,
        Shared, //
    },
    kapi::capability,
};
use kernel::{
    debugfs::{
        Dir,
        File,
        Writer, //
    },
    fmt,
    prelude::*,
    str::CString,
    sync::Arc,
    uaccess::UserSliceReader, //
};

/// Room for the longest name of a mode and a line end, in bytes.
const MODE_LEN: usize = 16;

/// The directory and its files, removed on drop.
#[pin_data]
pub(crate) struct Files {
    #[pin]
    mode: File<ModeFile>,
    #[pin]
    stats: File<StatsFile>,
    mismatches: KVec<Pin<KBox<File<MismatchFile>>>>,
    _mismatches_dir: Dir,
    _dir: Dir,
}

struct ModeFile(Arc<Hooks>);

struct StatsFile(Arc<Shared>);

/// One of the differences that are kept, by its number.
struct MismatchFile(Arc<Shared>, usize);

impl Files {
    /// Creates the files.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(hooks: Arc<Hooks>) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            let dir = Dir::new(c"rust_fsession");
            let mismatches_dir = dir.subdir(c"mismatches");
            let shared = hooks.shared.clone();
            let mut mismatches = KVec::new();
            for number in 0..Mismatches::MAX {
                let name = CString::try_from_fmt(fmt!("{number:02}"))?;
                let file = MismatchFile(shared.clone(), number);
                let file = mismatches_dir.read_only_file(&name, file);
                mismatches.push(KBox::pin_init(file, GFP_KERNEL)?, GFP_KERNEL)?;
            }
            Ok(try_pin_init!(Self {
                mode <- dir.read_write_callback_file(
                    c"mode",
                    ModeFile(hooks),
                    &ModeFile::show,
                    &ModeFile::store,
                ),
                stats <- dir.read_only_file(c"stats", StatsFile(shared)),
                mismatches,
                _mismatches_dir: mismatches_dir,
                _dir: dir,
            }))
        })
    }
}

impl ModeFile {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0.shared.mode().name())
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

impl Writer for StatsFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{}", self.0.stats))
    }
}

impl Writer for MismatchFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.mismatches.lock().get(self.1) {
            Some(mismatch) => f.write_fmt(fmt!("{mismatch}")),
            None => Ok(()),
        }
    }
}
