// SPDX-License-Identifier: GPL-2.0

//! One thread that makes call after call and looks at what it gets.

use std::collections::HashSet;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Mutex;

use anyhow::{bail, ensure, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::call::{Call, Kind};
use super::expect::{self, image_at};
use super::kcov::Kcov;
use super::memory::{Memory, Place};
use super::shared::Shared;
use super::slots::{self, Slots};
use crate::device::{abi, PATH};

/// So many wrong answers end the run.
const ENOUGH: u32 = 3;

/// All addresses of the module that were reached, by whatever worker.
pub type Reached = Mutex<HashSet<u64>>;

pub struct Worker {
    pub name: String,
    rng: StdRng,
    slots: Slots,
    memory: Memory,
    kcov: Option<Kcov>,
    mine: HashSet<u64>,
    /// Calls that reached something new.
    corpus: Vec<Call>,
    step: u64,
}

impl Worker {
    /// A worker for the current thread.
    pub fn new(seed: u64, number: u64, slots: Slots, late: u64) -> Result<Self> {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&number.to_le_bytes());
        Ok(Self {
            name: format!("worker {number}"),
            rng: StdRng::from_seed(key),
            slots,
            memory: Memory::new(late)?,
            kcov: Kcov::start()?,
            mine: HashSet::new(),
            corpus: Vec::new(),
            step: 0,
        })
    }

    /// Makes calls until `shared` says that it is enough.
    pub fn run(&mut self, shared: &Shared, reached: &Reached) {
        while !shared.is_stopped() {
            let call = self.next();
            if let Some(kcov) = &self.kcov {
                kcov.clear();
            }
            let answer = self.make(&call);
            let new = self.is_new(reached);
            let errno = answer.as_ref().err().copied().unwrap_or(0);
            shared.count(call.kind, errno);
            let expect = expect::of(&call, self.slots);
            let checked = match expect.allows(errno) {
                true if errno == 0 => self.look(&call),
                true => Ok(()),
                false => Err(anyhow::anyhow!(
                    "{} is not among {expect:?}",
                    io::Error::from_raw_os_error(errno)
                )),
            };
            if let Err(why) = checked {
                println!("{}, step {}: {why:#}\n  {call:?}", self.name, self.step);
                if shared.wrong.fetch_add(1, Relaxed) + 1 >= ENOUGH {
                    shared.stop();
                }
            }
            if new {
                self.corpus.push(call);
            }
            self.step += 1;
        }
    }

    fn next(&mut self) -> Call {
        if self.rng.random_bool(0.3) {
            if let Some(call) = self.corpus.choose(&mut self.rng) {
                let mut call = call.clone();
                call.change(&mut self.rng, self.slots);
                return call;
            }
        }
        Call::random(&mut self.rng, self.slots)
    }

    fn is_new(&mut self, reached: &Reached) -> bool {
        let Some(kcov) = &self.kcov else {
            return false;
        };
        let mut new = Vec::new();
        for pc in kcov.reached() {
            if self.mine.insert(pc) {
                new.push(pc);
            }
        }
        if new.is_empty() {
            return false;
        }
        let mut reached = reached.lock().expect("nobody panics with the lock");
        // All of them: `any()` would end with the first.
        new.into_iter().filter(|&pc| reached.insert(pc)).count() > 0
    }

    /// Makes the call: what it returned, or its errno.
    fn make(&mut self, call: &Call) -> Result<i64, i32> {
        let file = call.file as RawFd;
        match call.kind {
            Kind::Add => {
                let request = abi::Add {
                    prog_fd: call.prog,
                    flags: call.flags,
                    bpf_cookie: call.number,
                };
                let arg = self.memory.put(0, call.at, bytes(&request));
                ioctl(file, abi::IOC_ADD, arg)
            }
            Kind::Remove => {
                let request = abi::Remove {
                    prog_fd: call.prog,
                    flags: call.flags,
                };
                let arg = self.memory.put(0, call.at, bytes(&request));
                ioctl(file, abi::IOC_REMOVE, arg)
            }
            Kind::Info => {
                let nothing = [0xa5; size_of::<abi::Info>()];
                ioctl(file, abi::IOC_INFO, self.memory.put(0, call.at, &nothing))
            }
            Kind::Compare => self.compare(call),
            Kind::Request => ioctl(file, call.request, self.memory.put(0, call.at, &[])),
            Kind::Read | Kind::DebugRead => {
                let at = self.memory.put(0, call.at, &[]);
                read(file, at, call.len, call.offset)
            }
            Kind::Seek | Kind::DebugSeek => {
                let whence = (call.number % 7) as i32;
                // SAFETY: The call has no pointers.
                result(unsafe { libc::lseek(file, call.offset.unwrap_or(0), whence) })
            }
            Kind::Other | Kind::DebugOther => self.other(call),
            Kind::Open => open(call),
            Kind::Mode => {
                let len = call.len as usize;
                let mut text = call.text.clone();
                text.resize(len.min(64), 0);
                let at = self.memory.put(0, call.at, &text);
                // SAFETY: The kernel only reads.
                result(unsafe {
                    match call.offset {
                        None => libc::write(file, at as *const _, len) as i64,
                        Some(offset) => libc::pwrite(file, at as *const _, len, offset) as i64,
                    }
                })
            }
            Kind::Swap => {
                match call.number % 8 {
                    0 => slots::close(call.file),
                    _ => copy(call.prog, call.file)?,
                }
                Ok(0)
            }
            Kind::SwapDevice => {
                match call.number % 4 {
                    0 => slots::close(call.file),
                    1 => copy(self.slots.device(&mut self.rng), call.file)?,
                    _ => reopen(call)?,
                }
                Ok(0)
            }
            Kind::Run => {
                // SAFETY: The number is open for as long as there are workers.
                let prog = unsafe { std::os::fd::BorrowedFd::borrow_raw(call.prog as RawFd) };
                match crate::bpf::test_run(prog) {
                    Ok(_) => Ok(0),
                    Err(err) => Err(err.raw_os_error().unwrap_or(libc::EIO)),
                }
            }
        }
    }

    fn compare(&mut self, call: &Call) -> Result<i64, i32> {
        let Some(case) = &call.case else {
            return Ok(0);
        };
        let mut progs: Vec<u8> = case.progs.iter().flat_map(bytes).copied().collect();
        let most = case.raw.nr_progs.min(abi::CASE_MAX_PROGS) as usize;
        progs.resize(most.max(case.progs.len()) * size_of::<abi::CaseProg>(), 0);
        let mut raw = case.raw;
        raw.progs = self.memory.put(1, case.at[0], &progs);
        let image = |which| image_at(case, which).map(|at| self.memory.put(2 + which, at, &[]));
        raw.rust_image = image(0).unwrap_or(0);
        raw.c_image = image(1).unwrap_or(0);
        let arg = self.memory.put(0, call.at, bytes(&raw));
        ioctl(call.file as RawFd, abi::IOC_COMPARE, arg)
    }

    fn other(&mut self, call: &Call) -> Result<i64, i32> {
        let file = call.file as RawFd;
        let offset = call.offset.unwrap_or(0);
        let len = call.len as usize;
        let at = self.memory.put(0, call.at, &[]);
        // The kernel writes at most what the file has, which fits every good place. A
        // mapping that is made goes again.
        // SAFETY: As far as it is good, `at` points to memory for this.
        unsafe {
            match call.number % 7 {
                0 => {
                    let got = libc::mmap(std::ptr::null_mut(), 4096, 3, libc::MAP_SHARED, file, 0);
                    if got != libc::MAP_FAILED {
                        libc::munmap(got, 4096);
                        return Ok(0);
                    }
                    Err(errno())
                }
                1 if self.slots.what(call.file) != slots::What::Mode => {
                    result(libc::write(file, at as *const _, len) as i64)
                }
                2 => result(i64::from(libc::fsync(file))),
                3 => result(i64::from(libc::ftruncate(file, offset))),
                4 => result(i64::from(libc::fallocate(file, 0, offset, offset))),
                5 => {
                    let mut poll = libc::pollfd {
                        fd: file,
                        events: libc::POLLIN,
                        revents: 0,
                    };
                    result(i64::from(libc::poll(&mut poll, 1, 0)))
                }
                _ => {
                    let vector = [(at, len), (at, 1)];
                    let vector = vector.as_ptr().cast();
                    let flags = call.flags as i32;
                    result(
                        libc::preadv2(file, vector, (call.number % 3) as i32, offset, flags) as i64,
                    )
                }
            }
        }
    }

    /// What a call that succeeded has given.
    fn look(&self, call: &Call) -> Result<()> {
        match call.kind {
            Kind::Info if call.at == Place::Good => {
                let mut raw = [0; size_of::<abi::Info>()];
                self.memory.get(0, &mut raw);
                // SAFETY: As large, and any bits are an `Info`.
                look_at_info(&unsafe { std::ptr::read_unaligned(raw.as_ptr().cast::<abi::Info>()) })
            }
            Kind::Compare if call.at == Place::Good => {
                let mut raw = [0; size_of::<abi::Case>()];
                self.memory.get(0, &mut raw);
                // SAFETY: As large, and any bits are a `Case`.
                let case = unsafe { std::ptr::read_unaligned(raw.as_ptr().cast::<abi::Case>()) };
                ensure!(
                    case.verdict != abi::REFERENCE_DIFFERENT,
                    "the builders differ at {}: {case:?}",
                    case.differs_at
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What holds for every trampoline at any time.
pub fn look_at_info(info: &abi::Info) -> Result<()> {
    let links = info.nr_progs() + info.nr_fsession;
    if info.reference == abi::REFERENCE_DIFFERENT {
        bail!("the builders differ: {info:?}");
    }
    ensure!(
        links <= 36
            && info.nr_cookies <= abi::MAX_COOKIES
            && info.nr_cookies <= info.nr_fsession
            && info.fp_start <= info.fp_end
            && info.fp_end <= info.code_size
            && info.code_size <= info.image_size
            && info.image_size <= 4096
            && (info.code_size == 0) == (info.nr_progs() == 0)
            && info.target[abi::NAME_LEN - 1] == 0,
        "it does not fit together: {info:?}"
    );
    Ok(())
}

fn bytes<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: The structures of the ABI have no padding.
    unsafe { std::slice::from_raw_parts((value as *const T).cast(), size_of::<T>()) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn result(ret: i64) -> Result<i64, i32> {
    match ret {
        ..0 => Err(errno()),
        _ => Ok(ret),
    }
}

fn ioctl(file: RawFd, request: u32, arg: u64) -> Result<i64, i32> {
    // SAFETY: `Memory` made the address: what the kernel writes there is in the way of nobody.
    result(i64::from(unsafe { libc::ioctl(file, request.into(), arg) }))
}

fn read(file: RawFd, at: u64, len: u64, offset: Option<i64>) -> Result<i64, i32> {
    let len = len as usize;
    // SAFETY: As in `ioctl()`; no file has more than fits a good place.
    result(unsafe {
        match offset {
            None => libc::read(file, at as *mut _, len) as i64,
            Some(offset) => libc::pread(file, at as *mut _, len, offset) as i64,
        }
    })
}

fn copy(from: u32, to: u32) -> Result<(), i32> {
    slots::copy(from as RawFd, to).map_err(|err| err.raw_os_error().unwrap_or(0))
}

/// Any flags but those that make a file of another kind.
fn flags(call: &Call) -> i32 {
    call.flags as i32 & !libc::O_TMPFILE | libc::O_CLOEXEC
}

/// Opens the device or a file of debugfs, and closes it again.
fn open(call: &Call) -> Result<i64, i32> {
    let path = match call.number % 4 {
        0 => crate::hooks::MODE,
        1 => crate::hooks::STATS,
        _ => PATH,
    };
    let fd = open_path(path, flags(call))?;
    // SAFETY: It was opened here.
    unsafe { libc::close(fd) };
    Ok(0)
}

/// Gives a number a new trampoline.
fn reopen(call: &Call) -> Result<(), i32> {
    let access = [libc::O_RDONLY, libc::O_RDWR, libc::O_WRONLY, libc::O_PATH];
    let access = access[(call.number / 8 % 4) as usize];
    let fd = open_path(PATH, access | libc::O_CLOEXEC)?;
    let copied = slots::copy(fd, call.file);
    // SAFETY: It was opened here.
    unsafe { libc::close(fd) };
    copied.map_err(|err| err.raw_os_error().unwrap_or(0))
}

fn open_path(path: &str, flags: i32) -> Result<RawFd, i32> {
    let path = std::ffi::CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: The path is a string.
    match unsafe { libc::open(path.as_ptr(), flags, 0o600) } {
        -1 => Err(errno()),
        fd => Ok(fd),
    }
}
