// SPDX-License-Identifier: GPL-2.0

//! The child process that executes images.
//!
//! A wrong image may do anything, so it runs in a child process. The child stops after each run and
//! is continued for the next one. A child that dies is a result like any other; so is one that
//! exceeds its time. Seccomp restricts it to the few system calls that it needs.

use crate::memory::{gs_base, Mapping, Memory, Script, PAGE};
use crate::mocks;
use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{mprotect, ProtFlags};
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{fork, ForkResult, Pid};
use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

/// CPU time limit of a run in seconds. A correct image takes microseconds; single-stepped, a
/// fraction of a second.
const TIME: libc::time_t = 2;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The traced function returned to its caller.
    Returned,
    /// The process ended.
    Crashed(Crash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// This signal; `SIGPROF` if the time limit was exceeded.
    Signal(Signal),
    /// An `int3`.
    Breakpoint,
    /// A call that was not expected next.
    WrongCall,
    /// Any other exit, with this status.
    Status(i32),
}

/// A stopped child process.
pub struct Child {
    child: Pid,
    /// The process has not been reaped, so its PID is still valid.
    alive: bool,
}

impl Child {
    /// # Errors
    ///
    /// The process cannot be created.
    pub fn new(mapping: &Mapping) -> io::Result<Self> {
        let memory = mapping.memory();
        // SAFETY: The child only runs `serve`, which neither allocates nor takes a lock.
        match unsafe { fork() }? {
            ForkResult::Child => serve(memory),
            ForkResult::Parent { child } => {
                let mut child = Self { child, alive: true };
                match child.wait()? {
                    WaitStatus::Stopped(..) => Ok(child),
                    status => Err(io::Error::other(format!(
                        "the child did not start: {status:?}"
                    ))),
                }
            }
        }
    }

    /// Executes the script. After a crash this child cannot be used again.
    pub fn run(&mut self) -> io::Result<End> {
        signal::kill(self.child, Signal::SIGCONT)?;
        Ok(match self.wait()? {
            WaitStatus::Stopped(..) => End::Returned,
            WaitStatus::Signaled(_, signal, _) => End::Crashed(Crash::Signal(signal)),
            WaitStatus::Exited(_, mocks::BREAKPOINT) => End::Crashed(Crash::Breakpoint),
            WaitStatus::Exited(_, mocks::WRONG_CALL) => End::Crashed(Crash::WrongCall),
            WaitStatus::Exited(_, status) => End::Crashed(Crash::Status(status)),
            status => {
                return Err(io::Error::other(format!(
                    "unexpected wait status {status:?}"
                )))
            }
        })
    }

    fn wait(&mut self) -> io::Result<WaitStatus> {
        let status = waitpid(self.child, Some(WaitPidFlag::WUNTRACED))?;
        self.alive = matches!(status, WaitStatus::Stopped(..));
        Ok(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.alive && signal::kill(self.child, Signal::SIGKILL).is_ok() {
            // The child was killed, so this does not block.
            let _ = waitpid(self.child, None);
        }
    }
}

/// Main loop of the child: one run after each stop.
fn serve(memory: *mut Memory) -> ! {
    // SAFETY: The child has only this thread. The memory is mapped here as it is in the parent.
    unsafe {
        let child = libc::getpid();
        if protect(memory).is_err() || prepare().is_err() || confine(child).is_err() {
            libc::_exit(1);
        }
        loop {
            libc::kill(child, libc::SIGSTOP);
            let time = libc::timeval {
                tv_sec: TIME,
                tv_usec: 0,
            };
            let time = libc::itimerval {
                it_interval: time,
                it_value: time,
            };
            libc::syscall(libc::SYS_setitimer, libc::ITIMER_PROF, &time, 0);
            mocks::run(memory);
        }
    }
}

/// Write-protects what later runs rely on.
unsafe fn protect(memory: *mut Memory) -> nix::Result<()> {
    let code = ProtFlags::PROT_READ | ProtFlags::PROT_EXEC;
    // SAFETY: All of these are whole pages of the mapped memory, which the child only reads.
    unsafe {
        for (pages, len, rights) in [
            (&raw mut (*memory).stubs as *mut c_void, PAGE, code),
            (&raw mut (*memory).func as *mut c_void, PAGE, code),
            (
                &raw mut (*memory).script as *mut c_void,
                size_of::<Script>(),
                ProtFlags::PROT_READ,
            ),
        ] {
            let pages = NonNull::new(pages).ok_or(Errno::EFAULT)?;
            mprotect(pages, len, rights)?;
        }
    }
    Ok(())
}

/// Sets GS and the signal handlers, and ties the child's life to its parent's.
unsafe fn prepare() -> nix::Result<()> {
    const ARCH_SET_GS: libc::c_int = 0x1001;
    const SIGNAL_STACK: usize = 64 * 1024;
    static mut STACK: [u8; SIGNAL_STACK] = [0; SIGNAL_STACK];

    let stack = libc::stack_t {
        ss_sp: (&raw mut STACK).cast(),
        ss_flags: 0,
        ss_size: SIGNAL_STACK,
    };
    let set = SigSet::empty();
    let trap = SigHandler::SigAction(mocks::on_trap);
    let trap = SigAction::new(trap, SaFlags::SA_ONSTACK, set);
    let die = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), set);
    // SAFETY: Handlers and stack live as long as the process. Nothing here uses GS.
    unsafe {
        Errno::result(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        Errno::result(libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, gs_base()))?;
        Errno::result(libc::sigaltstack(&stack, ptr::null_mut()))?;
        signal::sigaction(Signal::SIGTRAP, &trap)?;
        for fatal in FATAL {
            signal::sigaction(fatal, &die)?;
        }
    }
    Ok(())
}

/// Signals that a wrong image may cause.
const FATAL: [Signal; 6] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGPROF,
    Signal::SIGSYS,
];

/// Restricts the child to the system calls it needs: stop itself, arm its timer, return from a
/// signal, exit.
unsafe fn confine(child: libc::pid_t) -> nix::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    // Offsets in `struct seccomp_data`; those of arguments name the lower halves.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const ARG0: u32 = 16;
    const ARG1: u32 = 24;

    let op = |code, k| libc::sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let equal = |k: u32, jt, jf| libc::sock_filter {
        code: EQUAL,
        jt,
        jf,
        k,
    };
    let filter = [
        op(LOAD, ARCH),
        equal(AUDIT_ARCH_X86_64, 0, 9),
        op(LOAD, NUMBER),
        equal(libc::SYS_setitimer as u32, 8, 0),
        equal(libc::SYS_rt_sigreturn as u32, 7, 0),
        equal(libc::SYS_exit_group as u32, 6, 0),
        equal(libc::SYS_kill as u32, 0, 4),
        op(LOAD, ARG0),
        equal(child as u32, 0, 2),
        op(LOAD, ARG1),
        equal(libc::SIGSTOP as u32, 1, 0),
        op(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        op(RETURN, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: The kernel copies the program; it applies to this process only.
    unsafe {
        Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        let filter = libc::SECCOMP_MODE_FILTER;
        Errno::result(libc::prctl(libc::PR_SET_SECCOMP, filter, &program))?;
    }
    Ok(())
}
