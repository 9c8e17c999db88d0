// SPDX-License-Identifier: GPL-2.0

//! A misc device whose open descriptors keep the module loaded, and find what the device was
//! registered with.
//!
//! `kernel::miscdevice` of 7.2 leaves `file_operations.owner` empty, so that a module can be
//! removed under an open descriptor. 7.3 fills it in; this works with both.
//!
//! C header: `include/linux/miscdevice.h`

use super::bindings;
use kernel::{
    container_of,
    error::to_result,
    ffi::c_int,
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions, //
    },
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};

/// A misc device with a context that every descriptor is opened with.
///
/// [`MiscDevice::open()`] is not called for it.
pub(crate) trait DeviceWithContext: MiscDevice {
    /// What belongs to the device.
    type Context: Send + Sync;

    /// Called when the device is opened; the returned pointer becomes the descriptor's data.
    fn open_with(context: &Self::Context, file: &File) -> Result<Self::Ptr>;
}

/// A registered misc device.
///
/// # Invariants
///
/// `misc` is registered, and its `fops` point to the field `fops`.
#[pin_data(PinnedDrop)]
pub(crate) struct OwnedMiscDevice<T: DeviceWithContext> {
    fops: bindings::file_operations,
    context: T::Context,
    #[pin]
    misc: Opaque<bindings::miscdevice>,
}

// SAFETY: Registration and deregistration may happen on different threads, and so may the context.
unsafe impl<T: DeviceWithContext> Send for OwnedMiscDevice<T> {}
// SAFETY: Only the context is accessible, which is `Sync`.
unsafe impl<T: DeviceWithContext> Sync for OwnedMiscDevice<T> {}

impl<T: DeviceWithContext> OwnedMiscDevice<T> {
    /// Registers the device, its node accessible to the superuser only.
    ///
    /// # Errors
    ///
    /// Those of `misc_register()`.
    pub(crate) fn register(
        options: MiscDeviceOptions,
        context: T::Context,
        module: &'static ThisModule,
    ) -> impl PinInit<Self, Error> {
        let raw = options.into_raw::<T>();
        // SAFETY: `into_raw()` makes `fops` point to a constant table.
        let mut fops = unsafe { *raw.fops };
        fops.owner = module.as_ptr();
        fops.open = Some(Self::open);
        fops.llseek = Some(bindings::default_llseek);
        try_pin_init!(&this in Self {
            fops,
            context,
            misc <- Opaque::try_ffi_init(move |misc: *mut bindings::miscdevice| {
                // SAFETY: `misc` is the field to initialise, and the others are initialised.
                // All are pinned, and the device is deregistered before they go.
                unsafe {
                    misc.write(raw);
                    (*misc).fops = &raw const (*this.as_ptr()).fops;
                    (*misc).mode = 0o600;
                    to_result(bindings::misc_register(misc))
                }
            }),
        })
    }

    /// # Safety
    ///
    /// `file` must be a file that is being opened through `fops` of an `OwnedMiscDevice<T>`.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: Both are valid, and belong to a file that is being opened.
        let ret = unsafe { bindings::generic_file_open(inode, file) };
        if ret != 0 {
            return ret;
        }
        // SAFETY: `misc_open()` put the `struct miscdevice` there. These `fops` are used by an
        // `OwnedMiscDevice<T>` only, and `misc_open()` keeps it registered during this call.
        let device = unsafe {
            let misc: *mut bindings::miscdevice = (*file).private_data.cast();
            &*container_of!(Opaque::cast_from(misc), Self, misc)
        };
        // SAFETY: The file is valid during this call, and not shared yet.
        match T::open_with(&device.context, unsafe { File::from_raw_file(file) }) {
            Ok(ptr) => {
                // SAFETY: The open function owns the private data. The other functions of the
                // table, which come from `into_raw::<T>()`, expect it there in this form.
                unsafe { (*file).private_data = ptr.into_foreign() };
                0
            }
            Err(e) => e.to_errno(),
        }
    }
}

#[pinned_drop]
impl<T: DeviceWithContext> PinnedDrop for OwnedMiscDevice<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}
