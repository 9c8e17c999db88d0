// SPDX-License-Identifier: GPL-2.0

//! Which errors each call may give: those that `src/uapi/rust_fsession.h` documents,
//! and those of the system call itself. A test holds the former against the header.

use libc::{
    E2BIG, EACCES, EBADF, EBUSY, EEXIST, EFAULT, EFBIG, EINVAL, ENODEV, ENOENT, ENOMEM, ENOTDIR,
    ENOTTY, ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, ESPIPE,
};

/// A set of errnos. Those that are for user space are below 134.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errnos([u128; 2]);

impl Errnos {
    pub const NONE: Self = Self([0; 2]);

    pub const fn of(list: &[i32]) -> Self {
        let mut set = Self::NONE;
        let mut at = 0;
        while at < list.len() {
            set.0[list[at] as usize / 128] |= 1 << (list[at] % 128);
            at += 1;
        }
        set
    }

    pub fn has(self, errno: i32) -> bool {
        usize::try_from(errno).is_ok_and(|errno| {
            let word = self.0.get(errno / 128).copied().unwrap_or(0);
            (word >> (errno % 128)) & 1 != 0
        })
    }

    pub fn and(self, list: &[i32]) -> Self {
        let more = Self::of(list);
        Self([self.0[0] | more.0[0], self.0[1] | more.0[1]])
    }

    pub fn without(self, list: &[i32]) -> Self {
        let less = Self::of(list);
        Self([self.0[0] & !less.0[0], self.0[1] & !less.0[1]])
    }
}

/// "All give EFAULT for memory that cannot be accessed, and ENOMEM."
const ALL: &[i32] = &[EFAULT, ENOMEM];

/// `RUST_FSESSION_IOC_ADD`: the list above `struct rust_fsession_add`.
const ADD_LIST: &[i32] = &[
    EBADF, EINVAL, EBUSY, E2BIG, ENODEV, ENOENT, EPERM, EOPNOTSUPP,
];
pub fn add() -> Errnos {
    Errnos::of(ADD_LIST).and(ALL)
}

/// `RUST_FSESSION_IOC_REMOVE`: the list above `struct rust_fsession_remove`.
const REMOVE_LIST: &[i32] = &[EBADF, EINVAL, ENOENT];
pub fn remove() -> Errnos {
    Errnos::of(REMOVE_LIST).and(ALL)
}

/// `RUST_FSESSION_IOC_INFO` has none of its own.
pub fn info() -> Errnos {
    Errnos::of(ALL)
}

/// `RUST_FSESSION_IOC_COMPARE`: the list above its number.
const COMPARE_LIST: &[i32] = &[E2BIG, EBADF, EINVAL, ENOMEM, EPERM, EOPNOTSUPP];
pub fn compare() -> Errnos {
    Errnos::of(COMPARE_LIST).and(ALL)
}

/// "Any other request is ENOTTY."
pub const REQUEST: Errnos = Errnos::of(&[ENOTTY]);

/// `read()`: EPERM, and what `read(2)` says of buffers and offsets. ENOMEM.
pub const READ: Errnos = Errnos::of(&[EPERM, EFAULT, EINVAL, ENOMEM]);

/// A file of debugfs, read: `read(2)`.
pub const DEBUG_READ: Errnos = Errnos::of(&[EFAULT, EINVAL, ENOMEM]);

/// `mode`, written: README.md, "The interface".
pub const MODE: Errnos = Errnos::of(&[EINVAL, EPERM, EBUSY, EFAULT, ENOMEM]);

/// `lseek(2)`.
pub const SEEK: Errnos = Errnos::of(&[EINVAL, ENXIO, EOVERFLOW]);

/// What neither the device nor the files have: `mmap(2)`, `write(2)`, `fsync(2)`,
/// `ftruncate(2)`, `fallocate(2)`, `splice(2)`.
pub const OTHER: Errnos = Errnos::of(&[
    EACCES, EBADF, EFBIG, EINVAL, ENODEV, ENOTTY, ESPIPE, EFAULT, EOPNOTSUPP, EPERM,
]);

/// `open(2)` with any flags, by root.
pub const OPEN: Errnos = Errnos::of(&[EINVAL, ENOTDIR, EEXIST, ENOMEM]);

/// `E…`, or `ok`.
pub fn text(errno: i32) -> String {
    match (errno, name(errno)) {
        (0, _) => "ok".to_owned(),
        (_, Some(name)) => name.to_owned(),
        (_, None) => errno.to_string(),
    }
}

fn name(errno: i32) -> Option<&'static str> {
    macro_rules! names {
        ($($name:ident)+) => { &[$(($name, stringify!($name))),+] };
    }
    const NAMES: &[(i32, &str)] = names!(
        E2BIG EACCES EBADF EBUSY EEXIST EFAULT EFBIG EINVAL ENODEV ENOENT ENOMEM ENOTDIR ENOTTY ENXIO
        EOPNOTSUPP EOVERFLOW EPERM ESPIPE
    );
    let found = NAMES.iter().find(|(number, _)| *number == errno);
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const HEADER: &str = include_str!("../../../../src/uapi/rust_fsession.h");

    fn names(list: &[i32]) -> BTreeSet<&'static str> {
        list.iter()
            .copied()
            .map(|errno| name(errno).unwrap())
            .collect()
    }

    /// The errnos in the last comment before `end`.
    fn documented(end: &str) -> BTreeSet<&'static str> {
        let (before, _) = HEADER.split_once(end).unwrap();
        let (_, comment) = before.rsplit_once("/*\n").unwrap();
        let word = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
        let words = comment.split(word);
        let upper = |w: &&str| {
            w.len() > 3
                && w.starts_with('E')
                && w.chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        };
        words.filter(upper).collect()
    }

    #[test]
    fn lists_are_the_headers() {
        assert_eq!(names(ADD_LIST), documented("struct rust_fsession_add {"));
        assert_eq!(
            names(REMOVE_LIST),
            documented("struct rust_fsession_remove {")
        );
        assert_eq!(
            names(COMPARE_LIST),
            documented("#define RUST_FSESSION_IOC_COMPARE\t")
        );
        let all: BTreeSet<_> = names(ALL).into_iter().chain(["EPERM", "ENOTTY"]).collect();
        assert_eq!(documented("#ifndef _UAPI_RUST_FSESSION_H"), all);
    }

    #[test]
    fn sets_hold_what_they_are_made_of() {
        let set = Errnos::of(&[1, 5, 127, 128, 133]).without(&[5]).and(&[7]);
        let held: Vec<_> = (-1..600).filter(|&errno| set.has(errno)).collect();
        assert_eq!(held, [1, 7, 127, 128, 133]);
    }
}
