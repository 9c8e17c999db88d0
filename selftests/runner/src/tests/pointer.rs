// SPDX-License-Identifier: GPL-2.0

//! Pointers that lead nowhere: programs follow them without a check, and the
//! kernel mends the fault inside of the program.

use std::os::fd::AsFd;

use anyhow::{ensure, Context, Result};

use super::onto::{spec, words, Call};
use crate::bpf;
use crate::harness::Env;
use crate::kallsyms;
use crate::probe::Kind;
use crate::targets::sum;

tests! {
    pointer_faults: "loads from bad addresses read 0, others go on",
    pointer_null_struct: "a struct argument that is NULL, or holds it",
}

/// `struct seen`, by half: runs, the pointer, the words it led to, another argument.
type Seen = [[u64; 5]; 2];

fn pointer_faults(env: &Env) -> Result<()> {
    let targets = env.targets()?;
    let log = env.log()?;
    let tramp = env.trampoline()?;
    let mut open = bpf::open(&env.bpf, "pointer")?;
    bpf::pick(&mut open, |name| name == "pointer");
    let object = open.load()?;
    let prog = bpf::fd(&object, "pointer")?;
    let around = [(); 2].map(|()| log.load(spec(Kind::Session, "args_8").cookie()));
    let [before, after] = around;
    let (before, after) = (before?, after?);
    tramp.add(&before)?;
    tramp
        .try_add_fd(1000, prog.as_fd(), Kind::Session, 0)
        .context("cannot attach the program that follows a pointer")?;
    tramp.check_image()?;
    tramp.add(&after)?;

    let good = kallsyms::address_of("modules")?;
    let mut runs = 0;
    for (address, leads) in [
        (0, false),
        (8, false),
        (0x7fff_ffff_f000, false),
        // Not canonical, nothing mapped, the last word.
        (1 << 63, false),
        (0xffff_8000_0000_0000 - 8, false),
        (0xffff_ff00_0000_0000, false),
        (u64::MAX - 7, false),
        (good, true),
        (0, false),
    ] {
        let mut args: [u64; 8] = words();
        args[0] = address;
        let call = Call {
            function: "args_8",
            words: &args,
            args: &args,
            ret: sum(&args),
        };
        call.run(&targets, &log, 4)
            .with_context(|| format!("with {address:#x}"))?;
        runs += 1;
        let seen: Seen = bpf::globals(&object, ".bss")?;
        for (half, [ran, pointer, first, second, other]) in seen.into_iter().enumerate() {
            check_eq!(ran, runs, "runs of half {half} with {address:#x}");
            check_eq!((pointer, other), (args[0], args[1]), "arguments");
            ensure!(
                (first != 0) == leads && (second != 0) == leads,
                "half {half} reads {first:#x} and {second:#x} at {address:#x}"
            );
        }
    }
    Ok(())
}

fn pointer_null_struct(env: &Env) -> Result<()> {
    for (name, target, is_null) in [
        ("null_struct", "bpf_fentry_test7", true),
        ("null_member", "bpf_fentry_test8", false),
    ] {
        let tramp = env.trampoline()?;
        let object = bpf::load_for(bpf::open(&env.bpf, "pointer")?, name, target)?;
        let prog = bpf::fd(&object, name)?;
        tramp.try_add_fd(1, prog.as_fd(), Kind::Session, 0)?;
        tramp.check_image()?;
        for runs in 1..=2 {
            bpf::test_run(prog.as_fd())?;
            let seen: Seen = bpf::globals(&object, ".bss")?;
            for [ran, pointer, first, second, ret] in seen {
                check_eq!(ran, runs, "runs of {name}");
                check_eq!(pointer == 0, is_null, "whether {name} has NULL");
                check_eq!([first, second, ret], [0; 3], "what {name} reads");
            }
        }
    }
    Ok(())
}
