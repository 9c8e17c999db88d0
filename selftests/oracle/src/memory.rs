// SPDX-License-Identifier: GPL-2.0

//! The memory that images run in: code, stack, the script of a run and its trace.
//!
//! The process that checks and the process that executes images share it, at the same address.

use crate::abi::reg;
use nix::sys::mman::{mmap_anonymous, mprotect, munmap, MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

pub const PAGE: usize = 4096;

/// Maximum number of events of a run: every program call of a full image, and those around them.
pub const MAX_EVENTS: usize = 128;

/// Words below the top of the stack that an event records.
pub const WINDOW: usize = 192;

/// Maximum number of recorded instructions of a run.
pub const MAX_STEPS: usize = 4096;

/// Bytes of the stack that images run on.
const STACK: usize = 16 * PAGE;

/// Value of the call-depth counter before each event.
pub const DEPTH: i64 = i64::MIN;

/// Value of the debug call counter: the next increment carries into its upper half.
pub const CALLS: u64 = u32::MAX as u64;

/// One or more pages.
#[repr(C, align(4096))]
pub struct Pages<const N: usize>(pub [u8; N]);

impl<const N: usize> Pages<N> {
    pub fn fill(&mut self, byte: u8) {
        // SAFETY: These are all its bytes. (`slice::fill` is a hundred times slower without
        // optimization.)
        unsafe { self.0.as_mut_ptr().write_bytes(byte, N) };
    }
}

/// Layout of the memory.
#[repr(C)]
pub struct Memory {
    /// Instructions without their GS prefix access this page.
    no_gs: Pages<PAGE>,
    /// Space for an image below everything that it calls, and above.
    pub low: Pages<{ 2 * PAGE }>,
    pub stubs: Pages<PAGE>,
    pub func: Pages<PAGE>,
    pub counters: Counters,
    pub high: Pages<{ 2 * PAGE }>,
    guard_below: Pages<PAGE>,
    pub stack: Pages<STACK>,
    guard_above: Pages<PAGE>,
    pub script: Script,
    pub trace: Trace,
}

/// The call-depth counters of this CPU.
#[repr(C, align(4096))]
pub struct Counters {
    pub depth: i64,
    between: [u64; 7],
    pub calls: u64,
}

/// The general purpose registers, by their numbers.
pub type Regs = [u64; 16];

/// What a stub does when it is called.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// The stub that is expected. If another one is called, the run ends.
    pub id: u64,
    /// Return value.
    pub result: u64,
    /// Value to write.
    pub value: u64,
    /// [`action`] bits.
    pub effects: u32,
}

pub mod action {
    /// Fill the run context, except for the BPF cookie.
    pub const FILL_RUN_CTX: u32 = 1 << 0;
    /// Write to the session cookie that the metadata word refers to.
    pub const WRITE_COOKIE: u32 = 1 << 1;
    /// Overwrite the arguments on the stack, which belong to the function.
    pub const FILL_STACK_ARGS: u32 = 1 << 2;
    /// Patch all programs out of the image.
    pub const PATCH: u32 = 1 << 3;
}

/// How to patch a program out: the bytes that replace its nop.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Patch {
    pub addr: u64,
    pub bytes: [u8; 8],
}

/// Input of a run.
#[repr(C, align(4096))]
pub struct Script {
    pub entry: u64,
    pub regs: Regs,
    pub step: u64,
    /// Addresses between which instructions are recorded.
    pub code: [u64; 2],
    pub run_ctx_size: u64,
    pub bpf_cookie_off: u64,
    pub stack_args: u64,
    pub nr_patches: u64,
    pub actions: [Action; MAX_EVENTS],
    pub patches: [Patch; MAX_EVENTS],
}

/// State at the first instruction of a called stub, or at the return to the caller.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Event {
    /// Number of the stub.
    pub id: u64,
    pub regs: Regs,
    pub rflags: u64,
    pub depth: i64,
    pub calls: u64,
    pub stack: [u64; WINDOW],
}

/// State before an instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    pub rip: u64,
    pub rsp: u64,
    pub rbp: u64,
    /// The word at `rbp` and the one above it; 0 if `rbp` does not point to the stack.
    pub frame: [u64; 2],
}

/// Output of a run.
#[repr(C, align(4096))]
pub struct Trace {
    pub nr_events: u64,
    pub nr_steps: u64,
    pub events: [Event; MAX_EVENTS],
    /// The return to the caller.
    pub end: Event,
    pub steps: [Step; MAX_STEPS],
}

/// Distance of two stubs in bytes.
const STUB: usize = 16;

/// Numbers of the stubs.
pub mod stub {
    use crate::case::{MAX_CODES, PAIRS};

    pub const TRAMP_ENTER: usize = 0;
    pub const TRAMP_EXIT: usize = 1;
    pub const RETURN_THUNK: usize = 2;
    pub const BHI_THUNK: usize = 3;
    /// The traced function behind its entry.
    pub const BODY: usize = 4;
    /// The function that a live patch calls instead.
    pub const LIVE_PATCH: usize = 5;
    pub const ENTER: usize = 8;
    pub const EXIT: usize = 16;
    pub const PROG: usize = 32;
    pub const END: usize = PROG + MAX_CODES;

    const _: () = assert!(ENTER + PAIRS <= EXIT && EXIT + PAIRS <= PROG && END < 255);
}

/// Where in [`Memory`] an image is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub high: bool,
    /// Offset in bytes, less than a page.
    pub offset: usize,
}

/// Addresses of everything that an image refers to.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    base: u64,
    /// Address of the image.
    pub image: u64,
}

impl Addresses {
    fn at(&self, offset: usize) -> u64 {
        self.base + offset as u64
    }

    /// The stub with this number.
    pub fn stub(&self, id: usize) -> u64 {
        assert!(id < stub::END);
        self.at(offset_of!(Memory, stubs) + id * STUB)
    }

    /// The pointer that all stubs jump through.
    pub fn pointer(&self) -> u64 {
        self.at(offset_of!(Memory, stubs) + PAGE - 8)
    }

    /// The traced function.
    pub fn func(&self) -> u64 {
        self.at(offset_of!(Memory, func))
    }

    /// The counters relative to the base of GS, as the kernel links them.
    pub fn depth(&self) -> u64 {
        self.at(offset_of!(Memory, counters) + offset_of!(Counters, depth)) - gs_base()
    }

    pub fn calls(&self) -> u64 {
        self.at(offset_of!(Memory, counters) + offset_of!(Counters, calls)) - gs_base()
    }

    /// The word above the stack.
    pub fn stack_top(&self) -> u64 {
        self.at(offset_of!(Memory, stack) + STACK)
    }

    /// The lowest word that an event records.
    pub fn window(&self) -> u64 {
        self.stack_top() - 8 * WINDOW as u64
    }
}

/// Base of GS.
pub fn gs_base() -> u64 {
    (offset_of!(Memory, counters) - offset_of!(Memory, no_gs)) as u64
}

impl Memory {
    /// Writes `bytes` to `addr`.
    ///
    /// # Panics
    ///
    /// `addr` is not in an area for code or stack.
    pub fn write(&mut self, at: &Addresses, addr: u64, bytes: &[u8]) {
        let offset = addr.wrapping_sub(at.base) as usize;
        let areas: [(usize, &mut [u8]); 5] = [
            (offset_of!(Memory, low), &mut self.low.0),
            (offset_of!(Memory, stubs), &mut self.stubs.0),
            (offset_of!(Memory, func), &mut self.func.0),
            (offset_of!(Memory, high), &mut self.high.0),
            (offset_of!(Memory, stack), &mut self.stack.0),
        ];
        for (start, area) in areas {
            if (start..start + area.len()).contains(&offset) {
                area[offset - start..][..bytes.len()].copy_from_slice(bytes);
                return;
            }
        }
        panic!("{addr:#x} is not in an area for code or stack");
    }
}

impl Event {
    /// The word at `addr` of the stack, if the event recorded it.
    pub fn word(&self, at: &Addresses, addr: u64) -> Option<u64> {
        let offset = addr.checked_sub(at.window())?;
        let word = self.stack.get(usize::try_from(offset / 8).ok()?);
        word.copied().filter(|_| offset % 8 == 0)
    }

    /// Address of the return address.
    pub fn rsp(&self) -> u64 {
        self.regs[reg::RSP]
    }
}

/// The mapped memory.
pub struct Mapping {
    memory: NonNull<Memory>,
    /// Bound to its thread, as the child process is.
    _thread: PhantomData<*mut ()>,
}

impl Mapping {
    /// # Errors
    ///
    /// There is no memory, or none that is writable and executable.
    pub fn new() -> io::Result<Self> {
        const SIZE: NonZeroUsize = NonZeroUsize::new(size_of::<Memory>()).unwrap();
        let all = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE | ProtFlags::PROT_EXEC;
        // SAFETY: This maps fresh memory and touches no other.
        let memory = unsafe { mmap_anonymous(None, SIZE, all, MapFlags::MAP_SHARED) }
            .map_err(|e| io::Error::other(format!("no writable and executable memory: {e}")))?;
        let mapping = Self {
            memory: memory.cast(),
            _thread: PhantomData,
        };
        for guard in [
            offset_of!(Memory, no_gs),
            offset_of!(Memory, guard_below),
            offset_of!(Memory, guard_above),
        ] {
            // SAFETY: The page lies within the mapping, and nothing refers to it.
            unsafe {
                let page = memory.byte_add(guard).cast::<c_void>();
                mprotect(page, PAGE, ProtFlags::PROT_NONE)?;
            }
        }
        Ok(mapping)
    }

    /// The memory, which an image may be using.
    pub fn memory(&self) -> *mut Memory {
        self.memory.as_ptr()
    }

    /// The memory while no image uses it.
    ///
    /// # Safety
    ///
    /// No image runs while the reference lives, and the guard pages are not accessed.
    pub unsafe fn memory_mut(&mut self) -> &mut Memory {
        // SAFETY: The memory is mapped as long as `self` lives; any bytes are a valid `Memory`.
        unsafe { self.memory.as_mut() }
    }

    /// Addresses for an image at `placement`.
    pub fn addresses(&self, placement: Placement) -> Addresses {
        let base = self.memory.as_ptr() as u64;
        let start = if placement.high {
            offset_of!(Memory, high)
        } else {
            offset_of!(Memory, low)
        };
        assert!(placement.offset < PAGE);
        Addresses {
            base,
            image: base + (start + placement.offset) as u64,
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The memory was mapped with this size by its only owner. If unmapping fails, it
        // leaks.
        let _ = unsafe { munmap(self.memory.cast(), size_of::<Memory>()) };
    }
}
