// SPDX-License-Identifier: GPL-2.0

//! Mock functions for everything that an image calls, and the call of the traced function.
//!
//! A mock records the state at its call and performs the action that the script has for it; it
//! checks nothing. All of this runs in the child process (see [`child`](crate::child)) between two
//! stops, and does not allocate, lock or panic.

use crate::abi::reg;
use crate::memory::{action, Action, Event, Memory, Step, Trace, MAX_EVENTS, MAX_STEPS};
use crate::memory::{stub, CALLS, DEPTH, WINDOW};
use nix::libc;
use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::{self, addr_of, addr_of_mut};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The memory that images run in.
static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(ptr::null_mut());
/// RSP of this code while an image runs.
static HOST_RSP: AtomicU64 = AtomicU64::new(0);
static ENTRY: AtomicU64 = AtomicU64::new(0);
static RAX: AtomicU64 = AtomicU64::new(0);

/// Exit statuses of a process whose image made an unexpected call, or ran into an `int3`.
pub const WRONG_CALL: c_int = 101;
pub const BREAKPOINT: c_int = 102;

/// Value of the caller-saved registers after a call.
const CLOBBER: u64 = 0x0bad_c0de_0bad_c0de;

const CALLER_SAVED: [usize; 8] = [
    reg::RCX,
    reg::RDX,
    reg::RSI,
    reg::RDI,
    reg::R8,
    reg::R9,
    reg::R10,
    reg::R11,
];

/// The trap flag: an exception after each instruction.
const TF: u64 = 1 << 8;

extern "C" {
    /// All stubs jump here, with their number on top of the stack.
    pub fn oracle_record();
    /// Calls the entry of the script and records the state at its return.
    fn oracle_launch();
}

std::arch::global_asm!(
    ".pushsection .text",
    ".globl oracle_record",
    "oracle_record:",
    "   pushfq",
    // Only images are single-stepped.
    "   pushfq",
    "   and qword ptr [rsp], {no_tf}",
    "   popfq",
    "   push r15; push r14; push r13; push r12; push r11; push r10; push r9; push r8",
    "   push rdi; push rsi; push rbp; push rsp; push rbx; push rdx; push rcx; push rax",
    "   cld",
    "   mov rdi, rsp",
    "   mov rbx, rsp",
    "   and rsp, -16",
    "   call {on_event}",
    "   mov rsp, rbx",
    "   pop rax; pop rcx; pop rdx; pop rbx; lea rsp, [rsp + 8]; pop rbp; pop rsi; pop rdi",
    "   pop r8; pop r9; pop r10; pop r11; pop r12; pop r13; pop r14; pop r15",
    "   popfq",
    "   lea rsp, [rsp + 8]",
    "   ret",
    "",
    ".globl oracle_launch",
    "oracle_launch:",
    "   push rbx; push rbp; push r12; push r13; push r14; push r15",
    "   mov [rip + {host_rsp}], rsp",
    "   mov rax, [rip + {memory}]",
    "   lea rax, [rax + {script_regs}]",
    "   mov rcx, [rax + 8*1]; mov rdx, [rax + 8*2]; mov rbx, [rax + 8*3]",
    "   mov rsp, [rax + 8*4]; mov rbp, [rax + 8*5]; mov rsi, [rax + 8*6]",
    "   mov rdi, [rax + 8*7]; mov r8, [rax + 8*8]; mov r9, [rax + 8*9]",
    "   mov r10, [rax + 8*10]; mov r11, [rax + 8*11]; mov r12, [rax + 8*12]",
    "   mov r13, [rax + 8*13]; mov r14, [rax + 8*14]; mov r15, [rax + 8*15]",
    "   push [rax + {step} - {script_regs}]",
    "   popfq",
    "   mov rax, [rax]",
    "   call qword ptr [rip + {entry}]",
    "   mov [rip + {rax}], rax",
    "   mov rax, [rip + {memory}]",
    "   lea rax, [rax + {trace_regs}]",
    "   mov [rax + 8*1], rcx; mov [rax + 8*2], rdx; mov [rax + 8*3], rbx",
    "   mov [rax + 8*4], rsp; mov [rax + 8*5], rbp; mov [rax + 8*6], rsi",
    "   mov [rax + 8*7], rdi; mov [rax + 8*8], r8; mov [rax + 8*9], r9",
    "   mov [rax + 8*10], r10; mov [rax + 8*11], r11; mov [rax + 8*12], r12",
    "   mov [rax + 8*13], r13; mov [rax + 8*14], r14; mov [rax + 8*15], r15",
    "   mov rcx, [rip + {rax}]",
    "   mov [rax], rcx",
    "   mov rsp, [rip + {host_rsp}]",
    "   push 2",
    "   popfq",
    "   pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx",
    "   ret",
    ".popsection",
    on_event = sym on_event,
    host_rsp = sym HOST_RSP,
    memory = sym MEMORY,
    entry = sym ENTRY,
    rax = sym RAX,
    no_tf = const !(TF as i32),
    script_regs = const offset_of!(Memory, script.regs),
    step = const offset_of!(Memory, script.step),
    trace_regs = const offset_of!(Memory, trace.end.regs),
);

/// Executes the script in `memory`. A wrong image ends the process.
///
/// # Safety
///
/// `memory` is mapped, and the process is the child, which may die.
pub unsafe fn run(memory: *mut Memory) {
    MEMORY.store(memory, Ordering::Relaxed);
    // SAFETY: Script and trace lie in the mapped memory, and nothing else accesses them now.
    unsafe {
        let trace = &mut (*memory).trace;
        (trace.nr_events, trace.nr_steps) = (0, 0);
        ENTRY.store((*memory).script.entry, Ordering::Relaxed);
        reset_counters(memory);
        oracle_launch();
        snapshot(memory, &mut (*memory).trace.end);
    }
}

unsafe fn reset_counters(memory: *mut Memory) {
    // SAFETY: By the caller's promise.
    unsafe {
        (*memory).counters.depth = DEPTH;
        (*memory).counters.calls = CALLS;
    }
}

/// What `oracle_record` pushed, and the stack above it.
#[repr(C)]
struct Pushed {
    regs: [u64; 16],
    rflags: u64,
    id: u64,
    return_address: u64,
}

/// Records a call and performs its action.
extern "C" fn on_event(pushed: &mut Pushed) {
    let memory = MEMORY.load(Ordering::Relaxed);
    let rsp = addr_of!(pushed.return_address) as u64;
    // SAFETY: The memory is mapped, and nothing else accesses it while an image runs. What the
    // script writes is valid for an image that keeps the contract; another one may crash, which the
    // parent sees.
    unsafe {
        let trace = addr_of_mut!((*memory).trace);
        let number = (*trace).nr_events as usize;
        if number >= MAX_EVENTS {
            libc::_exit(WRONG_CALL);
        }
        record(memory, &mut (*trace).events[number], pushed, rsp);
        reset_counters(memory);
        (*trace).nr_events = number as u64 + 1;

        let action = (*memory).script.actions[number];
        if action.id != pushed.id {
            libc::_exit(WRONG_CALL);
        }
        perform(memory, pushed, action, rsp);
        if !matches!(pushed.id as usize, stub::RETURN_THUNK | stub::BHI_THUNK) {
            for reg in CALLER_SAVED {
                pushed.regs[reg] = CLOBBER;
            }
            pushed.regs[reg::RAX] = action.result;
        }
    }
}

unsafe fn record(memory: *mut Memory, event: &mut Event, pushed: &Pushed, rsp: u64) {
    event.id = pushed.id;
    event.regs = pushed.regs;
    event.regs[reg::RSP] = rsp;
    event.rflags = pushed.rflags;
    // SAFETY: By the caller's promise.
    unsafe { snapshot(memory, event) };
}

/// Records counters and stack.
unsafe fn snapshot(memory: *mut Memory, event: &mut Event) {
    // SAFETY: By the caller's promise; the window is the upper end of the stack.
    unsafe {
        event.depth = (*memory).counters.depth;
        event.calls = (*memory).counters.calls;
        let top = addr_of!((*memory).stack).add(1).cast::<u64>();
        ptr::copy_nonoverlapping(top.sub(WINDOW), event.stack.as_mut_ptr(), WINDOW);
    }
}

unsafe fn perform(memory: *mut Memory, pushed: &Pushed, action: Action, rsp: u64) {
    let Action { value, effects, .. } = action;
    // SAFETY: By the caller's promise.
    unsafe {
        let script = addr_of!((*memory).script);
        if effects & action::FILL_RUN_CTX != 0 {
            let run_ctx = pushed.regs[reg::RSI] as *mut u8;
            let cookie = (*script).bpf_cookie_off as usize;
            for at in 0..(*script).run_ctx_size as usize {
                if at < cookie || at >= cookie + 8 {
                    run_ctx.add(at).write(value.to_le_bytes()[at % 8]);
                }
            }
        }
        if effects & action::WRITE_COOKIE != 0 {
            let ctx = pushed.regs[reg::RDI] as *mut u64;
            let index = (ctx.sub(1).read_unaligned() >> 8) & 0xff;
            ctx.sub(index as usize).write_unaligned(value);
        }
        if effects & action::FILL_STACK_ARGS != 0 {
            for at in 1..=(*script).stack_args {
                ((rsp + 8 * at) as *mut u64).write_unaligned(value);
            }
        }
        if effects & action::PATCH != 0 {
            let patches = &(*script).patches;
            for patch in patches.iter().take((*script).nr_patches as usize) {
                ptr::copy_nonoverlapping(patch.bytes.as_ptr(), patch.addr as *mut u8, 5);
            }
        }
    }
}

/// Records an instruction of the image, for [`TF`]; ends the process at a breakpoint.
pub extern "C" fn on_trap(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let memory = MEMORY.load(Ordering::Relaxed);
    // SAFETY: The kernel passes both to a handler with SA_SIGINFO. The memory is mapped, and
    // nothing else accesses it while an image runs.
    unsafe {
        if (*info).si_code != libc::TRAP_TRACE {
            libc::_exit(BREAKPOINT);
        }
        let regs = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let [rip, rsp, rbp] =
            [libc::REG_RIP, libc::REG_RSP, libc::REG_RBP].map(|at| regs[at as usize] as u64);
        let [start, end] = (*memory).script.code;
        let trace: *mut Trace = addr_of_mut!((*memory).trace);
        let number = (*trace).nr_steps as usize;
        if rip < start || rip >= end || number >= MAX_STEPS {
            return;
        }
        let bottom = addr_of!((*memory).stack) as u64;
        let top = addr_of!((*memory).stack).add(1) as u64;
        let frame = if rbp % 8 == 0 && rbp >= bottom && rbp + 16 <= top {
            *(rbp as *const [u64; 2])
        } else {
            [0; 2]
        };
        (*trace).steps[number] = Step {
            rip,
            rsp,
            rbp,
            frame,
        };
        (*trace).nr_steps = number as u64 + 1;
    }
}
