// SPDX-License-Identifier: GPL-2.0

//! Stacks that perf takes at every instruction of an image, in an exception: they
//! lead to who called the function, as they do from the image that C builds.

use std::ops::Range;
use std::os::fd::OwnedFd;

use anyhow::{ensure, Context, Result};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Mnemonic, Register};

use super::onto::{spec, words};
use super::wait_for;
use crate::bpf;
use crate::harness::{skip, Env};
use crate::kallsyms::{self, Kallsyms};
use crate::perf::{Breakpoint, BREAKPOINTS};
use crate::probe::{Kind, Log, Probe};
use crate::targets::Targets;

tests! {
    callchain_every: "at every instruction, to who called the function",
    callchain_as_c: "the same as from C's image, instruction by instruction",
}

const FUNCTION: &str = "modify_stack";
const MOST_CALLS: u32 = 3;
const KINDS: [Kind; 4] = [Kind::Fexit, Kind::Session, Kind::FmodRet, Kind::Fentry];

/// The stacks of a call at each of these offsets in an image, by name.
fn stacks(
    targets: &Targets,
    symbols: &Kallsyms,
    image: u64,
    offsets: &[u64],
) -> Result<Vec<Vec<String>>> {
    let args: [u64; 8] = words();
    let mut stacks = Vec::new();
    for some in offsets.chunks(BREAKPOINTS) {
        let breakpoints = some.iter().map(|offset| Breakpoint::new(image + offset));
        let breakpoints = match breakpoints.collect::<std::io::Result<Vec<_>>>() {
            Err(err)
                if [Some(libc::ENOSPC), Some(libc::EOPNOTSUPP)].contains(&err.raw_os_error()) =>
            {
                return Err(skip(format!("no breakpoints to be had: {err}")));
            }
            breakpoints => breakpoints.context("cannot set breakpoints")?,
        };
        // Emulated CPUs pass over a breakpoint now and then.
        for _ in 0..MOST_CALLS {
            let ret = targets.call(FUNCTION, &args)?;
            check_eq!(ret as i32, args[7] as i32, "what the caller got");
            if breakpoints.iter().all(|one| !one.stacks().is_empty()) {
                break;
            }
        }
        for (offset, breakpoint) in some.iter().zip(&breakpoints) {
            let taken = breakpoint.stacks();
            let stack = taken.first();
            let stack = stack.with_context(|| format!("no call at offset {offset:#x}"))?;
            check_eq!(stack.first(), Some(&(image + offset)), "innermost address");
            let names = stack.iter().map(|addr| {
                let name = symbols.name(*addr);
                name.with_context(|| format!("{addr:#x} at offset {offset:#x} is nowhere"))
            });
            let names = names.collect::<Result<Vec<_>>>()?;
            ensure!(
                names[0].starts_with("bpf_trampoline_"),
                "the image is called {}",
                names[0]
            );
            stacks.push(names);
        }
    }
    Ok(stacks)
}

/// What an image's code tells.
struct Code {
    /// Where the instructions that run in every call begin.
    offsets: Vec<u64>,
    /// Where the frame pointer is set: whatever the image's records say of it.
    frame: Range<u64>,
}

impl Code {
    fn read(code: &[u8]) -> Result<Self> {
        let (mut offsets, mut frame) = (Vec::new(), 0..0);
        for instruction in Decoder::with_ip(64, code, 0, DecoderOptions::NONE).iter() {
            // Traps behind the end do not run.
            if instruction.flow_control() == FlowControl::Interrupt {
                continue;
            }
            offsets.push(instruction.ip());
            match (instruction.mnemonic(), instruction.op0_register()) {
                (Mnemonic::Mov, Register::RBP) => frame.start = instruction.next_ip(),
                (Mnemonic::Leave, _) => frame.end = instruction.next_ip(),
                _ => (),
            }
        }
        ensure!(
            frame.start > 0 && !frame.is_empty(),
            "a frame of {frame:x?}"
        );
        Ok(Self { offsets, frame })
    }
}

/// Programs of every kind on the function, by the device.
struct Traced {
    targets: Targets,
    log: Log,
    probes: Vec<Probe>,
    device: crate::device::Device,
    image: u64,
    code: Code,
}

impl Traced {
    fn new(env: &Env) -> Result<Self> {
        let (targets, log) = (env.targets()?, env.log()?);
        let device = env.device()?;
        let mut probes = Vec::new();
        for kind in KINDS {
            let probe = log.load(
                spec(kind, FUNCTION)
                    .cookie_if(kind == Kind::Session)
                    .quiet(),
            )?;
            device.add(probe.fd(), 0)?;
            probes.push(probe);
        }
        let (info, code) = (device.info()?, device.image()?);
        Ok(Self {
            targets,
            log,
            probes,
            device,
            image: info.image_addr,
            code: Code::read(&code)?,
        })
    }

    fn stacks(&self) -> Result<Vec<Vec<String>>> {
        let symbols = Kallsyms::load()?;
        stacks(&self.targets, &symbols, self.image, &self.code.offsets)
    }
}

fn callchain_every(env: &Env) -> Result<()> {
    let traced = Traced::new(env)?;
    let stacks = traced.stacks()?;
    let Code { offsets, frame } = &traced.code;
    let whole = offsets.iter().zip(&stacks);
    let whole: Vec<_> = whole.filter(|(offset, _)| frame.contains(offset)).collect();
    let callers = &whole.first().context("no instruction with a frame")?.1[1..];
    println!(
        "{} instructions, {} with a frame, called by {}",
        stacks.len(),
        whole.len(),
        callers.join(" ")
    );
    ensure!(whole.len() > 50, "only {} instructions", whole.len());
    for name in ["targets_ioctl", "entry_SYSCALL_64"] {
        let found = callers.iter().any(|caller| caller.starts_with(name));
        ensure!(found, "no {name} in {}", callers.join(" "));
    }
    for (offset, stack) in offsets.iter().zip(&stacks) {
        if frame.contains(offset) {
            check_eq!(stack[1..], *callers, "callers at offset {offset:#x}");
        }
        // Without a frame some may be missing, but nobody may be there who did not call.
        let mut left = callers.iter();
        ensure!(
            stack[1..]
                .iter()
                .all(|name| left.any(|caller| caller == name)),
            "at offset {offset:#x}, called by {}: {}",
            callers.join(" "),
            stack.join(" ")
        );
    }
    traced.log.take()?;
    Ok(())
}

fn callchain_as_c(env: &Env) -> Result<()> {
    let traced = Traced::new(env)?;
    let rust = traced.stacks()?;
    let Traced {
        targets,
        probes,
        device,
        code: Code { offsets, .. },
        ..
    } = traced;
    drop(device);
    let links = probes
        .iter()
        .map(|probe| bpf::link(probe.fd(), probe.kind.attach_type(), 0))
        .collect::<std::io::Result<Vec<OwnedFd>>>()?;
    // Images of the links before the last one wait to be freed.
    wait_for("one image is left", || {
        Ok(kallsyms::kernel_images()?.len() == 1)
    })?;
    let image = kallsyms::kernel_images()?[0].addr;
    let c = stacks(&targets, &Kallsyms::load()?, image, &offsets)?;
    drop(links);
    let callers = |stack: &[String]| stack[1..].join(" ");
    for ((offset, rust), c) in offsets.iter().zip(&rust).zip(&c) {
        check_eq!(callers(rust), callers(c), "callers at offset {offset:#x}");
    }
    println!("{} instructions", offsets.len());
    Ok(())
}
