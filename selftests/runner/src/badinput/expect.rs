// SPDX-License-Identifier: GPL-2.0

//! What a call may answer: the documented errnos, less those for which it gives no
//! reason. Often that is one.

use libc::{E2BIG, EBADF, EFAULT, EINVAL, ENOENT, ENOMEM, EOPNOTSUPP, EPERM, ESPIPE};

use super::call::{Call, CaseInput, Kind};
use super::errnos::{self, Errnos};
use super::memory::{Access, Place, ROOM};
use super::slots::{Slots, What};
use crate::device::abi;
use crate::hooks::Mode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    pub success: bool,
    pub errnos: Errnos,
}

impl Expect {
    fn any(errnos: Errnos) -> Self {
        Self {
            success: true,
            errnos,
        }
    }

    fn only(list: &[i32]) -> Self {
        Self {
            success: false,
            errnos: Errnos::of(list),
        }
    }

    fn or(mut self, list: &[i32]) -> Self {
        self.errnos = self.errnos.and(list);
        self
    }

    /// Whether it may be this answer: 0, or an errno.
    pub fn allows(&self, errno: i32) -> bool {
        match errno {
            0 => self.success,
            _ => self.errnos.has(errno),
        }
    }
}

pub fn of(call: &Call, slots: Slots) -> Expect {
    let what = slots.what(call.file);
    let expect = match call.kind {
        Kind::Add => add(call, slots),
        Kind::Remove => remove(call, slots),
        Kind::Info => match call.at.write(size_of::<abi::Info>()) {
            Access::Yes => Expect::any(errnos::info().without(&[EFAULT])),
            Access::No => Expect::only(&[EFAULT]),
            Access::Perhaps => Expect::any(errnos::info()),
        },
        Kind::Compare => match &call.case {
            Some(case) => compare(call, case, what),
            None => Expect::any(errnos::compare()),
        },
        Kind::Request => Expect {
            success: false,
            errnos: errnos::REQUEST,
        },
        Kind::Read => match (read(call, errnos::READ), what) {
            (expect, What::HiddenDevice | What::ShakyDevice) => expect,
            (expect, _) => Expect {
                errnos: expect.errnos.without(&[EPERM]),
                ..expect
            },
        },
        Kind::DebugRead => read(call, errnos::DEBUG_READ),
        Kind::Seek | Kind::DebugSeek => Expect::any(errnos::SEEK),
        Kind::Other | Kind::DebugOther => Expect::any(errnos::OTHER),
        Kind::Open => Expect::any(errnos::OPEN),
        Kind::Mode => mode(call),
        Kind::Swap | Kind::SwapDevice => Expect::any(Errnos::of(&[EBADF])),
        Kind::Run => Expect::any(Errnos::NONE),
    };
    match what {
        // ioctl(2), read(2): it may be closed, or open for something else.
        What::ShakyDevice => expect.or(&[EBADF]),
        _ => expect,
    }
}

/// What becomes of a call whose argument cannot be read, or perhaps not.
fn unread<T>(call: &Call, all: Errnos) -> Option<Expect> {
    match call.at.read(size_of::<T>()) {
        Access::No => Some(Expect::only(&[EFAULT])),
        Access::Perhaps => Some(Expect::any(all)),
        Access::Yes => None,
    }
}

fn add(call: &Call, slots: Slots) -> Expect {
    let all = errnos::add();
    if let Some(expect) = unread::<abi::Add>(call, all) {
        return expect;
    }
    if call.flags != 0 {
        return Expect::only(&[EINVAL]);
    }
    match slots.what(call.prog) {
        What::Closed => Expect::only(&[EBADF]),
        What::Prog => Expect::any(all.without(&[EBADF, EFAULT])),
        What::Shaky => Expect::any(all.without(&[EFAULT])),
        // EINVAL where the trampoline has a target already.
        What::OnBpf => Expect::only(&[EOPNOTSUPP]),
        // It may be closed.
        What::ShakyDevice => Expect::only(&[EBADF, EINVAL]),
        _ => Expect::only(&[EINVAL]),
    }
}

fn remove(call: &Call, slots: Slots) -> Expect {
    let all = errnos::remove();
    if let Some(expect) = unread::<abi::Remove>(call, all) {
        return expect;
    }
    if call.flags != 0 {
        return Expect::only(&[EINVAL]);
    }
    match slots.what(call.prog) {
        What::Closed => Expect::only(&[EBADF]),
        What::Prog => Expect::any(Errnos::of(&[ENOENT])),
        What::Shaky => Expect::any(all.without(&[EFAULT, ENOMEM])),
        // A tracing program by type.
        What::NoTrampoline | What::OnBpf => Expect::only(&[ENOENT]),
        What::ShakyDevice => Expect::only(&[EBADF, EINVAL]),
        _ => Expect::only(&[EINVAL]),
    }
}

fn compare(call: &Call, case: &CaseInput, what: What) -> Expect {
    let raw = &case.raw;
    let all = errnos::compare();
    if let Some(expect) = unread::<abi::Case>(call, all) {
        return expect;
    }
    if raw.nr_progs > abi::CASE_MAX_PROGS {
        return Expect::only(&[EINVAL]);
    }
    let images = [0, 1].map(|which| image_at(case, which));
    let wants_images = images.iter().any(Option::is_some);
    match what {
        What::HiddenDevice if wants_images => return Expect::only(&[EPERM]),
        _ => {}
    }
    let mut expect = Expect::only(&[ENOMEM]);
    expect.success = true;
    if what == What::ShakyDevice && wants_images {
        expect = expect.or(&[EPERM]);
    }
    let nr_progs = raw.nr_progs as usize;
    match case.at[0].read(nr_progs * size_of::<abi::CaseProg>()) {
        Access::No => return expect.or(&[EFAULT]).failing(),
        Access::Perhaps => expect = expect.or(&[EFAULT]),
        Access::Yes => {}
    }
    if nr_progs > MAX_LINKS {
        expect = expect.or(&[E2BIG]);
    }
    if !case.sound || !case.at[0].is_ours() {
        expect = expect.or(&[EINVAL]);
    }
    let mut nothing_else = true;
    if raw.arena_prog_fd >= 0 {
        expect = expect.or(&[EBADF, EOPNOTSUPP]);
        nothing_else = false;
    }
    // A place of Rust's without a program there holds zeroes.
    let progs = case.progs.iter().take(nr_progs);
    if !case.at[0].is_ours()
        || progs.clone().any(|prog| prog.entry != 0)
        || raw.flags & INDIRECT != 0
        || raw.endbr == 1
    {
        expect = expect.or(&[EOPNOTSUPP]);
        nothing_else = false;
    }
    let known = case.at[0].is_ours();
    if raw.reserved != 0
        || raw.nr_args as usize > abi::CASE_MAX_ARGS
        || raw.endbr > 1
        || (known && progs.clone().any(|prog| prog.list > abi::LIST_FMOD_RET))
    {
        return match nothing_else {
            true => Expect {
                errnos: expect.errnos.without(&[ENOMEM]),
                ..expect.failing()
            },
            false => expect.failing(),
        };
    }
    for image in images.into_iter().flatten() {
        if image.write(PAGE) != Access::Yes {
            expect = expect.or(&[EFAULT]);
        }
    }
    match call.at.write(size_of::<abi::Case>()) {
        Access::Yes => expect,
        Access::No => expect.or(&[EFAULT]).failing(),
        Access::Perhaps => expect.or(&[EFAULT]),
    }
}

/// `BPF_MAX_TRAMP_LINKS`
const MAX_LINKS: usize = 36;
/// `BPF_TRAMP_F_INDIRECT`
const INDIRECT: u32 = 1 << 8;
const PAGE: usize = 4096;

/// Where an image is to go: none for those that are not wanted.
pub fn image_at(case: &CaseInput, which: usize) -> Option<Place> {
    let place = case.at[1 + which];
    (case.wanted[which] && place != Place::Null).then_some(place)
}

impl Expect {
    fn failing(mut self) -> Self {
        self.success = false;
        self
    }
}

/// `read(2)` and `pread(2)`.
fn read(call: &Call, all: Errnos) -> Expect {
    let end = i128::from(call.offset.unwrap_or(0)) + i128::from(call.len);
    let beyond = end > i128::from(i64::MAX) || call.offset.is_some_and(|offset| offset < 0);
    let place = usize::try_from(call.len).map_or(Access::Perhaps, |len| call.at.write(len));
    if beyond {
        // Which comes first is the kernel's business.
        return Expect::only(&[EINVAL, EFAULT]).or(if all.has(EPERM) { &[EPERM] } else { &[] });
    }
    // A file's own offset may be anywhere.
    let mut errnos = match call.offset {
        Some(_) => all.without(&[EINVAL]),
        None => all,
    };
    if place == Access::Yes {
        errnos = errnos.without(&[EFAULT]);
    }
    Expect::any(errnos)
}

fn mode(call: &Call) -> Expect {
    if call.offset.is_some_and(|offset| offset < 0) {
        return Expect::only(&[EINVAL]);
    }
    // A file of this kind has no pwrite(2).
    if call.offset.is_some() {
        return Expect::only(&[ESPIPE]);
    }
    if call.len > ROOM as u64 {
        return Expect::only(&[EINVAL, EFAULT]);
    }
    let len = call.len as usize;
    let access = call.at.read(len);
    if len > LONGEST || len == 0 || access == Access::No {
        return match access {
            Access::Yes => Expect::only(&[EINVAL]),
            // The kernel looks at the address before the file does.
            _ => Expect::only(&[EINVAL, EFAULT]),
        };
    }
    if access == Access::Perhaps {
        return Expect::any(errnos::MODE.without(&[EPERM]));
    }
    let mut written = call.text.clone();
    written.resize(len, 0);
    let name = written.trim_ascii();
    match Mode::ALL.iter().any(|mode| mode.name().as_bytes() == name) {
        true => Expect::any(errnos::MODE.without(&[EPERM, EFAULT, EINVAL])),
        false => Expect::only(&[EINVAL]),
    }
}

/// More is no mode: see README.md.
const LONGEST: usize = 16;
