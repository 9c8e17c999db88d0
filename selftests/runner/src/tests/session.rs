// SPDX-License-Identifier: GPL-2.0

//! One session: what it sees at entry and at return of functions that this
//! process really calls.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use rustix::fs::{memfd_create, MemfdFlags};

use crate::harness::Env;
use crate::probe::{Kind, Phase, Spec};

tests! {
    session_entry_return: "vfs_write(): entry, then return, arguments, value",
    session_sleep: "hrtimer_nanosleep(): the arguments outlive a sleep",
    session_ret_at_entry: "bpf_get_func_ret() reads 0 at entry",
    session_ret_negative: "an error as return value",
    session_void: "a function that returns nothing",
    session_sleepable: "a sleepable session that faults in user memory",
    session_cookie: "written at entry, read at return, a sleep between",
}

fn session_entry_return(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, "vfs_write").this_process())?;
    let mut file = File::from(memfd_create("session", MemfdFlags::CLOEXEC)?);
    let data = [b'x'; 1234];

    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    let written = file.write(&data)?;
    tramp.remove(&session)?;

    check_eq!(written, data.len(), "write() through the session");
    let [entry, ret] = log.take_exactly()?;
    check_eq!(entry.phase(), Phase::Entry, "the first record");
    check_eq!(ret.phase(), Phase::Return, "the second record");
    for event in [&entry, &ret] {
        check_eq!(event.nr_args, 4, "arguments of vfs_write()");
        check_eq!(event.args[1], data.as_ptr() as u64, "buf");
        check_eq!(event.args[2], data.len() as u64, "count");
    }
    check_eq!(entry.args, ret.args, "arguments at entry and at return");
    check_eq!(entry.ret, 0, "return value at entry");
    check_eq!(ret.ret, data.len() as u64, "return value");
    Ok(())
}

fn session_sleep(env: &Env) -> Result<()> {
    const TIME: Duration = Duration::from_millis(30);
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, "hrtimer_nanosleep").this_process())?;

    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    let start = std::time::Instant::now();
    nanosleep(TIME);
    let slept = start.elapsed();
    tramp.remove(&session)?;

    anyhow::ensure!(slept >= TIME, "slept for {slept:?} only");
    let [entry, ret] = log.take_exactly()?;
    check_eq!(
        (entry.phase(), ret.phase()),
        (Phase::Entry, Phase::Return),
        "halves"
    );
    check_eq!(entry.nr_args, 3, "arguments of hrtimer_nanosleep()");
    check_eq!(u128::from(entry.args[0]), TIME.as_nanos(), "time to sleep");
    check_eq!(entry.args, ret.args, "arguments at entry and at return");
    check_eq!(ret.ret, 0, "return value");
    Ok(())
}

fn nanosleep(time: Duration) {
    let request = libc::timespec {
        tv_sec: 0,
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: The request is a valid one, and no remaining time is asked for.
    unsafe { libc::nanosleep(&request, std::ptr::null_mut()) };
}

fn session_ret_at_entry(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, "bpf_fentry_test3"))?;

    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    // Twice: the value of the last call must not be seen at the next entry.
    session.test_run()?;
    session.test_run()?;

    let values = log.take_exactly::<4>()?.map(|event| event.ret);
    check_eq!(values, [0, 15, 0, 15], "bpf_get_func_ret() by half");
    Ok(())
}

fn session_ret_negative(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, "vfs_write").this_process())?;
    let mut unwritable = File::open("/dev/null")?;
    let data = [b'x'; 123];

    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    let written = unwritable.write(&data);
    tramp.remove(&session)?;

    let errno = written.err().and_then(|error| error.raw_os_error());
    check_eq!(
        errno,
        Some(libc::EBADF),
        "write() to a file open for reading"
    );
    let [entry, ret] = log.take_exactly()?;
    check_eq!(entry.args[2], data.len() as u64, "count");
    check_eq!(entry.ret, 0, "return value at entry");
    check_eq!(ret.ret as i64, -i64::from(libc::EBADF), "return value");
    Ok(())
}

fn session_void(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(Spec::new(Kind::Session, "do_sched_yield").this_process())?;

    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    std::thread::yield_now();
    tramp.remove(&session)?;

    let [entry, ret] = log.take_exactly()?;
    check_eq!(
        (entry.phase(), ret.phase()),
        (Phase::Entry, Phase::Return),
        "halves"
    );
    check_eq!(
        (entry.nr_args, entry.ret),
        (0, 0),
        "arguments and value at entry"
    );
    Ok(())
}

fn session_sleepable(env: &Env) -> Result<()> {
    const VALUE: u64 = 0x1122_3344_5566_7788;
    let mut file = File::from(memfd_create("page", MemfdFlags::CLOEXEC)?);
    file.write_all(&VALUE.to_ne_bytes())?;
    let page = map_untouched(&file)?;

    let log = env.log()?;
    let session = log.load(
        Spec::new(Kind::Session, "__x64_sys_getpgid")
            .this_process()
            .sleepable(page)
            .cookie(),
    )?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    rustix::process::getpgid(None)?;
    tramp.remove(&session)?;

    let [entry, ret] = log.take_exactly()?;
    check_eq!(
        (entry.user, ret.user),
        (VALUE, VALUE),
        "user memory in both halves"
    );
    check_eq!(
        (entry.phase(), ret.phase()),
        (Phase::Entry, Phase::Return),
        "halves"
    );
    Ok(())
}

/// A mapping of which no page is there yet. It stays until the test ends.
fn map_untouched(file: &File) -> Result<u64> {
    use std::os::fd::AsRawFd;
    // SAFETY: A new mapping, wherever the kernel has room for it.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    anyhow::ensure!(
        page != libc::MAP_FAILED,
        "mmap: {}",
        std::io::Error::last_os_error()
    );
    Ok(page as u64)
}

fn session_cookie(env: &Env) -> Result<()> {
    let log = env.log()?;
    let session = log.load(
        Spec::new(Kind::Session, "hrtimer_nanosleep")
            .this_process()
            .cookie(),
    )?;
    let tramp = env.trampoline()?;
    tramp.add(&session)?;
    std::thread::sleep(Duration::from_millis(20));
    tramp.remove(&session)?;

    let events: [_; 2] = log.take_exactly()?;
    check_eq!(events[0].phase(), Phase::Entry, "the first record");
    check_eq!(events[1].phase(), Phase::Return, "the second record");
    super::cookie::check_cookies(&events, |_| true)
}
