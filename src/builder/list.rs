// SPDX-License-Identifier: GPL-2.0

//! Lists with space for a fixed number of elements.

use super::error::{Error, Result};

/// A list of up to `N` elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<T, const N: usize> {
    all: [T; N],
    len: usize,
}

impl<T: Copy + Default, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self {
            all: [T::default(); N],
            len: 0,
        }
    }
}

impl<T: Copy, const N: usize> List<T, N> {
    /// Drops all elements.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// The last element.
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.all.get_mut(self.len.wrapping_sub(1))
    }

    /// The last element, and its position.
    #[inline(always)]
    pub(super) fn last(&self) -> Option<(usize, &T)> {
        let at = self.len.wrapping_sub(1);
        self.all.get(at).map(|last| (at, last))
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends an element; [`Error::TooBig`] if there is no space for it.
    #[inline(always)]
    pub(super) fn push(&mut self, one: T) -> Result {
        *self.all.get_mut(self.len).ok_or(Error::TooBig)? = one;
        self.len = self.len.wrapping_add(1);
        Ok(())
    }

    /// The elements.
    #[inline(always)]
    pub(super) fn get(&self) -> &[T] {
        self.all.get(..self.len).unwrap_or(&self.all)
    }
}

impl<T: Copy + PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Copy + Eq, const N: usize> Eq for List<T, N> {}
