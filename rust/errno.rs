// SPDX-License-Identifier: GPL-2.0

//! Error numbers that `kernel::error` does not name.

use super::bindings;
use kernel::{
    ffi::c_int,
    prelude::*, //
};

/// `EOPNOTSUPP`: beyond what the kernel or the builder covers.
pub(crate) fn unsupported() -> Error {
    Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
}
