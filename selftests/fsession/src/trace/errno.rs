// SPDX-License-Identifier: GPL-2.0

//! Names of error numbers, also of those that only the kernel uses.

use nix::errno::Errno;

/// The largest one: `MAX_ERRNO` of the kernel.
const LARGEST: i64 = 4095;

/// `include/linux/errno.h`
const INTERNAL: [(i32, &str); 19] = [
    (512, "ERESTARTSYS"),
    (513, "ERESTARTNOINTR"),
    (514, "ERESTARTNOHAND"),
    (515, "ENOIOCTLCMD"),
    (516, "ERESTART_RESTARTBLOCK"),
    (517, "EPROBE_DEFER"),
    (518, "EOPENSTALE"),
    (519, "ENOPARAM"),
    (521, "EBADHANDLE"),
    (522, "ENOTSYNC"),
    (523, "EBADCOOKIE"),
    (524, "ENOTSUPP"),
    (525, "ETOOSMALL"),
    (526, "ESERVERFAULT"),
    (527, "EBADTYPE"),
    (528, "EJUKEBOX"),
    (529, "EIOCBQUEUED"),
    (530, "ERECALLCONFLICT"),
    (531, "ENOGRACE"),
];

/// `-ENOENT` for -2, None for what is no error.
pub fn name(value: i64) -> Option<String> {
    if !(-LARGEST..0).contains(&value) {
        return None;
    }
    let number = i32::try_from(-value).ok()?;
    if let Some((_, name)) = INTERNAL.iter().find(|(internal, _)| *internal == number) {
        return Some(format!("-{name}"));
    }
    match Errno::from_raw(number) {
        Errno::UnknownErrno => None,
        errno => Some(format!("-{errno:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_names() {
        assert_eq!(name(-2).as_deref(), Some("-ENOENT"));
        assert_eq!(name(-11).as_deref(), Some("-EAGAIN"));
        assert_eq!(name(-95).as_deref(), Some("-EOPNOTSUPP"));
        assert_eq!(name(-512).as_deref(), Some("-ERESTARTSYS"));
        for value in [0, 1, -520, -4095, -4096, i64::MIN, i64::MAX] {
            assert_eq!(name(value), None, "{value}");
        }
    }
}
