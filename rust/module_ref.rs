// SPDX-License-Identifier: GPL-2.0

//! References on this module.
//!
//! C header: `include/linux/module.h`

use super::bindings;
use kernel::prelude::*;

/// A reference that keeps the module loaded.
///
/// Code that drops the last one must run where something else waits for it to return before the
/// module is unloaded.
pub(crate) struct ModuleRef(&'static ThisModule);

impl ModuleRef {
    /// Takes a reference.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the module is being unloaded.
    pub(crate) fn get(module: &'static ThisModule) -> Result<Self> {
        // SAFETY: `ThisModule` holds the module that this code is part of.
        if unsafe { bindings::try_module_get(module.as_ptr()) } {
            Ok(Self(module))
        } else {
            Err(ENODEV)
        }
    }
}

impl Drop for ModuleRef {
    fn drop(&mut self) {
        // SAFETY: `get()` took the reference.
        unsafe { bindings::module_put(self.0.as_ptr()) };
    }
}
