// SPDX-License-Identifier: GPL-2.0

//! The piece of memory in which images run: code to run and to call, a stack, what to do and what
//! has been seen.
//!
//! It is shared between the process that judges and the one that runs the images, and lies at the
//! same place in both.

use crate::abi::reg;
use nix::sys::mman::{mmap_anonymous, mprotect, munmap, MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

pub const PAGE: usize = 4096;

/// Most events of one run: every program call of a full image, and those around them.
pub const MAX_EVENTS: usize = 128;

/// Words below the top of the stack that are kept with every event.
pub const WINDOW: usize = 192;

/// Instructions of one run that are kept.
pub const MAX_STEPS: usize = 4096;

/// Bytes of the stack that images run on.
const STACK: usize = 16 * PAGE;

/// What the call-depth counter is set to before each step of a call.
pub const DEPTH: i64 = i64::MIN;

/// And the counter for debugging: one more carries over to its upper half.
pub const CALLS: u64 = u32::MAX as u64;

/// A page, or some.
#[repr(C, align(4096))]
pub struct Pages<const N: usize>(pub [u8; N]);

impl<const N: usize> Pages<N> {
    pub fn fill(&mut self, byte: u8) {
        // SAFETY: These are all bytes of it. (`slice::fill` does the same, a hundred times slower
        // where nothing is optimized.)
        unsafe { self.0.as_mut_ptr().write_bytes(byte, N) };
    }
}

/// The layout of the memory.
#[repr(C)]
pub struct Memory {
    /// An instruction that has lost its segment prefix gets here.
    no_gs: Pages<PAGE>,
    /// Room for an image below everything that it calls, and the same above.
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

/// What the stand-in for a function does.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// The stand-in that is to do it. If another one is called, the run ends.
    pub id: u64,
    /// What it returns.
    pub result: u64,
    /// What it writes.
    pub value: u64,
    /// [`action`] bits.
    pub what: u32,
}

pub mod action {
    /// Fill the run context, but for the BPF cookie.
    pub const FILL_RUN_CTX: u32 = 1 << 0;
    /// Write to the session cookie that the metadata word points at.
    pub const WRITE_COOKIE: u32 = 1 << 1;
    /// Overwrite the arguments on the stack, which are the function's own.
    pub const FILL_STACK_ARGS: u32 = 1 << 2;
    /// Patch all programs out of the image.
    pub const PATCH: u32 = 1 << 3;
}

/// A program that is patched out: the bytes over its nop.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Patch {
    pub addr: u64,
    pub bytes: [u8; 8],
}

/// What to run.
#[repr(C, align(4096))]
pub struct Script {
    pub entry: u64,
    pub regs: Regs,
    pub step: u64,
    /// Where steps are of interest.
    pub code: [u64; 2],
    pub run_ctx_size: u64,
    pub bpf_cookie_off: u64,
    pub stack_args: u64,
    pub nr_patches: u64,
    pub actions: [Action; MAX_EVENTS],
    pub patches: [Patch; MAX_EVENTS],
}

/// One call that reached a stand-in, as it was at its first instruction; or the return to the
/// caller.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Event {
    /// Number of the stand-in.
    pub id: u64,
    pub regs: Regs,
    pub rflags: u64,
    pub depth: i64,
    pub calls: u64,
    pub stack: [u64; WINDOW],
}

/// One instruction, before it ran.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    pub rip: u64,
    pub rsp: u64,
    pub rbp: u64,
    /// What `rbp` pointed at, and the word above it; 0 if it pointed out of the stack.
    pub frame: [u64; 2],
}

/// What has been seen.
#[repr(C, align(4096))]
pub struct Trace {
    pub nr_events: u64,
    pub nr_steps: u64,
    pub events: [Event; MAX_EVENTS],
    /// The return to the caller.
    pub end: Event,
    pub steps: [Step; MAX_STEPS],
}

/// Bytes from one stand-in to the next.
const STUB: usize = 16;

/// Stand-ins by their numbers.
pub mod stub {
    use crate::case::{MAX_CODES, PAIRS};

    pub const TRAMP_ENTER: usize = 0;
    pub const TRAMP_EXIT: usize = 1;
    pub const RETURN_THUNK: usize = 2;
    pub const BHI_THUNK: usize = 3;
    /// The traced function behind its entry.
    pub const BODY: usize = 4;
    /// Another function, that a live patch puts in its place.
    pub const LIVE_PATCH: usize = 5;
    pub const ENTER: usize = 8;
    pub const EXIT: usize = 16;
    pub const PROG: usize = 32;
    pub const END: usize = PROG + MAX_CODES;

    const _: () = assert!(ENTER + PAIRS <= EXIT && EXIT + PAIRS <= PROG && END < 255);
}

/// Which of the rooms for images one is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub high: bool,
    /// Bytes from its first, less than a page.
    pub offset: usize,
}

/// Where everything is.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    base: u64,
    /// Where the image is to run.
    pub image: u64,
}

impl Addresses {
    fn at(&self, offset: usize) -> u64 {
        self.base + offset as u64
    }

    /// The stand-in with this number.
    pub fn stub(&self, id: usize) -> u64 {
        assert!(id < stub::END);
        self.at(offset_of!(Memory, stubs) + id * STUB)
    }

    /// What all stand-ins jump through.
    pub fn pointer(&self) -> u64 {
        self.at(offset_of!(Memory, stubs) + PAGE - 8)
    }

    /// The traced function.
    pub fn func(&self) -> u64 {
        self.at(offset_of!(Memory, func))
    }

    /// The counters as the kernel is linked: relative to the base of GS.
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

    /// The lowest word that is kept with an event.
    pub fn window(&self) -> u64 {
        self.stack_top() - 8 * WINDOW as u64
    }
}

/// What GS is set to.
pub fn gs_base() -> u64 {
    (offset_of!(Memory, counters) - offset_of!(Memory, no_gs)) as u64
}

impl Memory {
    /// Writes `bytes` where `addr` is.
    ///
    /// # Panics
    ///
    /// It is outside of the memory in which code and stack lie.
    pub fn write(&mut self, at: &Addresses, addr: u64, bytes: &[u8]) {
        let offset = addr.wrapping_sub(at.base) as usize;
        let rooms: [(usize, &mut [u8]); 5] = [
            (offset_of!(Memory, low), &mut self.low.0),
            (offset_of!(Memory, stubs), &mut self.stubs.0),
            (offset_of!(Memory, func), &mut self.func.0),
            (offset_of!(Memory, high), &mut self.high.0),
            (offset_of!(Memory, stack), &mut self.stack.0),
        ];
        for (start, room) in rooms {
            if (start..start + room.len()).contains(&offset) {
                room[offset - start..][..bytes.len()].copy_from_slice(bytes);
                return;
            }
        }
        panic!("{addr:#x} is nowhere");
    }
}

impl Event {
    /// The word at the address `addr` of the stack, if it has been kept.
    pub fn word(&self, at: &Addresses, addr: u64) -> Option<u64> {
        let offset = addr.checked_sub(at.window())?;
        let word = self.stack.get(usize::try_from(offset / 8).ok()?);
        word.copied().filter(|_| offset % 8 == 0)
    }

    /// The return address's place.
    pub fn rsp(&self) -> u64 {
        self.regs[reg::RSP]
    }
}

/// The memory.
pub struct World {
    memory: NonNull<Memory>,
    /// It stays with its thread, as the process that runs in it does.
    _thread: PhantomData<*mut ()>,
}

impl World {
    /// # Errors
    ///
    /// The machine has no memory, or none that may be written and run.
    pub fn new() -> io::Result<Self> {
        const SIZE: NonZeroUsize = NonZeroUsize::new(size_of::<Memory>()).unwrap();
        let all = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE | ProtFlags::PROT_EXEC;
        // SAFETY: This maps fresh memory and touches no other.
        let memory = unsafe { mmap_anonymous(None, SIZE, all, MapFlags::MAP_SHARED) }
            .map_err(|e| io::Error::other(format!("no memory to write and run images in: {e}")))?;
        let world = Self {
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
        Ok(world)
    }

    /// What is in it.
    pub fn memory(&self) -> *mut Memory {
        self.memory.as_ptr()
    }

    /// The same, for one who knows that nothing runs in it.
    ///
    /// # Safety
    ///
    /// No image runs while the reference lives, and the guard pages are not touched.
    pub unsafe fn memory_mut(&mut self) -> &mut Memory {
        // SAFETY: The memory is mapped as long as `self` lives; any bytes are a valid `Memory`.
        unsafe { self.memory.as_mut() }
    }

    /// Where everything is for an image in `room`.
    pub fn addresses(&self, room: Room) -> Addresses {
        let base = self.memory.as_ptr() as u64;
        let start = if room.high {
            offset_of!(Memory, high)
        } else {
            offset_of!(Memory, low)
        };
        assert!(room.offset < PAGE);
        Addresses {
            base,
            image: base + (start + room.offset) as u64,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: The memory has been mapped with this size, and goes with its only owner. Should
        // it fail, the memory stays.
        let _ = unsafe { munmap(self.memory.cast(), size_of::<Memory>()) };
    }
}
