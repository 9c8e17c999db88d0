// SPDX-License-Identifier: GPL-2.0

//! Debugfs files whose open descriptors keep the module loaded, and know who opened them.
//!
//! `kernel::debugfs` of 7.2 and 7.3 leaves `file_operations.owner` empty. debugfs protects what a
//! file shows from its removal, but not the `file_operations`, which are read once more when the
//! file is closed.
//!
//! C header: `include/linux/debugfs.h`

use super::bindings;
use core::ptr;
use kernel::{
    cred::Credential,
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    fmt,
    fs::File,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::CStr,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    },
};

/// What a file shows and takes.
pub(crate) trait Contents: Send + Sync {
    /// Permissions of the file.
    const MODE: u16;

    /// Writes what `opener`, who opened the file, reads.
    fn show(&self, opener: &Credential, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Takes what a user wrote to the file.
    ///
    /// # Errors
    ///
    /// Any; `EINVAL` for a file that takes nothing.
    fn store(&self, _from: &mut UserSliceReader) -> Result {
        Err(EINVAL)
    }
}

/// A directory, removed on drop with all that is in it.
pub(crate) struct Dir(*mut bindings::dentry);

// SAFETY: debugfs has its own locks.
unsafe impl Send for Dir {}
// SAFETY: As above.
unsafe impl Sync for Dir {}

impl Dir {
    /// Creates a directory below debugfs's root, or below `parent`. Where debugfs does without, so
    /// does this: there is no error, as is the custom with debugfs.
    pub(crate) fn new(name: &CStr, parent: Option<&Dir>) -> Self {
        let parent = parent.map_or(ptr::null_mut(), |parent| parent.0);
        // SAFETY: The name is a string, and the parent is null or what this function returned.
        Self(unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), parent) })
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: `new()` created it, or failed, which this function knows.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}

/// A file, removed on drop. The module is not unloaded while it is open.
///
/// # Invariants
///
/// `dentry` is a file of `fops` and `contents`, or an error of debugfs.
#[pin_data(PinnedDrop)]
pub(crate) struct OwnedFile<T: Contents> {
    fops: bindings::file_operations,
    contents: T,
    dentry: *mut bindings::dentry,
}

// SAFETY: debugfs has its own locks, and the contents may be shared.
unsafe impl<T: Contents> Send for OwnedFile<T> {}
// SAFETY: As above.
unsafe impl<T: Contents> Sync for OwnedFile<T> {}

impl<T: Contents> OwnedFile<T> {
    /// Creates the file `name` in `dir`.
    pub(crate) fn new<'a>(
        dir: &'a Dir,
        name: &'a CStr,
        contents: T,
        module: &'static ThisModule,
    ) -> impl PinInit<Self> + use<'a, T> {
        let fops = bindings::file_operations {
            owner: module.as_ptr(),
            open: Some(Self::open),
            read: Some(bindings::seq_read),
            write: Some(Self::write),
            llseek: Some(bindings::seq_lseek),
            release: Some(bindings::single_release),
            ..pin_init::zeroed()
        };
        pin_init!(&this in Self {
            fops,
            contents,
            // SAFETY: `fops` and `contents` are initialised and pinned. They outlive the file, which
            // `drop()` removes first; a descriptor that is open then keeps the module, and with it
            // `self`, whose owner drops it when the module is unloaded.
            dentry: unsafe {
                bindings::rf_debugfs_create_file(
                    name.as_char_ptr(),
                    T::MODE,
                    dir.0,
                    (&raw const (*this.as_ptr()).contents).cast_mut().cast(),
                    &raw const (*this.as_ptr()).fops,
                )
            },
        })
    }

    /// # Safety
    ///
    /// `inode` and `file` must belong to an `OwnedFile<T>` that is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the caller's promise; `show()` finds the contents in the `seq_file`.
        unsafe { bindings::single_open(file, Some(Self::show), (*inode).i_private) }
    }

    /// # Safety
    ///
    /// `seq` must belong to a file that `open()` opened. debugfs removes no file during this call.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, _: *mut c_void) -> c_int {
        // SAFETY: By the caller's promise.
        let (contents, seq, file) = unsafe {
            (
                &*(*seq).private.cast::<T>(),
                SeqFile::from_raw(seq),
                File::from_raw_file((*seq).file),
            )
        };
        seq_print!(seq, "{}", Shown(contents, file.cred()));
        0
    }

    /// # Safety
    ///
    /// `file` must be one that `open()` opened. debugfs removes no file during this call.
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        from: *const c_char,
        len: usize,
        _pos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: By the caller's promise; `single_open()` put the `seq_file` there.
        let contents = unsafe {
            let seq: *mut bindings::seq_file = (*file).private_data.cast();
            &*(*seq).private.cast::<T>()
        };
        let from = UserPtr::from_addr(from.addr());
        match contents.store(&mut UserSlice::new(from, len).reader()) {
            Ok(()) => len as isize,
            Err(e) => e.to_errno() as isize,
        }
    }
}

/// What a file shows to its opener.
struct Shown<'a, T>(&'a T, &'a Credential);

impl<T: Contents> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(self.1, f)
    }
}

#[pinned_drop]
impl<T: Contents> PinnedDrop for OwnedFile<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. It waits until no call is inside `contents`.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}
