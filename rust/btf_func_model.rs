// SPDX-License-Identifier: GPL-2.0

//! The arguments of a traced function as the kernel describes them.
//!
//! C: `struct btf_func_model` in `include/linux/bpf.h`

use super::bindings;
use kernel::prelude::*;

/// A function model (`struct btf_func_model`).
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(crate) struct BtfFuncModel(pub(super) bindings::btf_func_model);

impl BtfFuncModel {
    /// A model of arguments with these sizes in bytes and these flags (`BTF_FMODEL_*`).
    ///
    /// # Errors
    ///
    /// `EINVAL` for more arguments than a model holds, or for another number of flags.
    pub(crate) fn new(sizes: &[u8], flags: &[u8]) -> Result<Self> {
        let mut model = bindings::btf_func_model::default();
        if sizes.len() != flags.len() {
            return Err(EINVAL);
        }
        let len = sizes.len();
        model
            .arg_size
            .get_mut(..len)
            .ok_or(EINVAL)?
            .copy_from_slice(sizes);
        model
            .arg_flags
            .get_mut(..len)
            .ok_or(EINVAL)?
            .copy_from_slice(flags);
        model.nr_args = u8::try_from(len)?;
        Ok(Self(model))
    }

    /// The sizes of the arguments in bytes.
    pub(crate) fn arg_sizes(&self) -> &[u8] {
        self.0
            .arg_size
            .get(..usize::from(self.0.nr_args))
            .unwrap_or_default()
    }

    /// The flags of the arguments (`BTF_FMODEL_*`), as many as there are sizes.
    pub(crate) fn arg_flags(&self) -> &[u8] {
        self.0
            .arg_flags
            .get(..usize::from(self.0.nr_args))
            .unwrap_or_default()
    }
}
