// SPDX-License-Identifier: GPL-2.0

//! Trampoline images.

use super::{
    mismatch::Mismatch,
    Mode,
    Shared, //
};
use crate::{
    builder::{
        self,
        Error as BuildError,
        Flags,
        FuncModel,
        Marks,
        Request,
        Skip,
        Target, //
    },
    judge::{
        self,
        Difference,
        Sides, //
    },
    kapi::{
        bpf_target,
        build_call::{
            BuildCall,
            FillCall, //
        },
        c_builder::{
            List,
            Reference, //
        },
        errno::unsupported,
        features,
    },
    lists::Lists,
};
use kernel::prelude::*;

/// What the Rust builder says to a call.
enum Answer {
    /// An image, or the error that C would give.
    Good(Result<Marks>),
    /// C would write past its page: this is the answer in every mode.
    Refused(Error),
    /// It cannot tell.
    Unable(Error),
}

/// In place of `arch_bpf_trampoline_size()`.
pub(super) fn measure(shared: &Shared, call: &mut BuildCall<'_>) -> Result<u32> {
    let mode = shared.mode();
    if mode == Mode::Off {
        return call.ask_c();
    }
    // Distances are measured from the kernel itself, for the image has no place yet.
    let ip = shared.platform.machine.tramp_enter.addr;
    let im = u64::MAX >> 1;
    let answer = with_request(shared, call, im, |request| builder::measure(request, ip));
    match (answer, mode) {
        (Answer::Refused(e), _) => {
            shared.stats.refused.increment();
            Err(e)
        }
        (Answer::Good(image), Mode::Takeover) => image.map(|image| image.size().into()),
        (Answer::Good(image), _) => {
            let c = call.ask_c();
            if c != image.map(|image| image.size().into()) {
                shared.stats.different.increment();
                pr_err!("C measures another size: {c:?}\n");
            }
            c
        }
        (Answer::Unable(_), _) => call.ask_c(),
    }
}

/// In place of `arch_prepare_bpf_trampoline()`.
pub(super) fn build(shared: &Shared, call: &mut FillCall<'_>) -> Result<u32> {
    let mode = shared.mode();
    if mode == Mode::Off {
        return call.ask_c();
    }
    let (ip, im) = (call.addr(), call.im_addr());
    let Ok((mut code, mut skips)) = buffers(call.what()) else {
        shared.stats.errors.increment();
        return call.ask_c();
    };
    let answer = with_request(shared, call.what(), im, |request| {
        builder::build(request, ip, &mut code, &mut skips)
    });
    match (answer, mode) {
        (Answer::Refused(e), _) => {
            shared.stats.refused.increment();
            Err(e)
        }
        (Answer::Good(Ok(image)), Mode::Takeover) if usize::from(image.size()) <= call.room() => {
            use_image(shared, call, image, &mut code, &skips)
        }
        (Answer::Good(Err(e)), Mode::Takeover) => Err(e),
        (Answer::Good(image), Mode::Shadow) => {
            let c = call.ask_c();
            if let Err(e) = compare(shared, call, c, image, &code, &skips) {
                shared.stats.errors.increment();
                pr_warn!("an image could not be compared: {e:?}\n");
            }
            c
        }
        (answer, _) => {
            shared.stats.fallbacks.increment();
            if let Answer::Unable(e) = answer {
                pr_warn!("an image falls back to C: {e:?}\n");
            }
            call.ask_c()
        }
    }
}

/// Room for any image, and for its skip records.
fn buffers(call: &BuildCall<'_>) -> Result<(KVec<u8>, KVec<Skip>)> {
    let code = KVec::from_elem(0xcc, features::PAGE_SIZE, GFP_KERNEL)?;
    let skips = KVec::from_elem(Skip::default(), call.entries().count(), GFP_KERNEL)?;
    Ok((code, skips))
}

/// Describes a call for the Rust builder, and sorts out what it says.
fn with_request(
    shared: &Shared,
    call: &BuildCall<'_>,
    im: u64,
    run: impl FnOnce(&Request<'_>) -> core::result::Result<Marks, BuildError>,
) -> Answer {
    let platform = &shared.platform;
    let Ok(flags) = Flags::from_bits(call.flags()) else {
        return Answer::Unable(EINVAL);
    };
    if features::CFI && flags.contains(Flags::INDIRECT) {
        return Answer::Unable(unsupported());
    }
    let lists = match Lists::new(call.entries(), platform) {
        Ok(lists) => lists,
        Err(e) => return Answer::Unable(e),
    };
    let model = call.model();
    let built = FuncModel::new(model.arg_sizes(), model.arg_flags()).and_then(|model| {
        let target = Target {
            model,
            addr: call.func(),
            endbr: bpf_target::starts_with_endbr(call.func(), platform.bound),
            preamble: platform.preamble,
        };
        run(&Request {
            target: &target,
            flags,
            programs: lists.programs(),
            machine: &platform.machine,
            image: im,
            arena_base: call.arena_base(platform.bound),
            scratch_align: 0,
        })
    });
    match built {
        Err(e @ BuildError::TooBig) => Answer::Refused(e.into()),
        Err(e @ (BuildError::Invalid | BuildError::Uncovered)) => Answer::Unable(e.into()),
        built => Answer::Good(built.map_err(Error::from)),
    }
}

/// Gives the kernel the Rust image.
fn use_image(
    shared: &Shared,
    call: &mut FillCall<'_>,
    image: Marks,
    code: &mut KVec<u8>,
    skips: &[Skip],
) -> Result<u32> {
    let records = judge::skip_records(call.addr(), skips)?;
    code.truncate(usize::from(image.size()));
    let fp = (image.fp_start.into(), image.fp_end.into());
    call.fill(code, &records, fp, shared.platform.bound)?;
    shared.stats.built.increment();
    Ok(image.size().into())
}

/// Holds the Rust image against the one that C has just built.
fn compare(
    shared: &Shared,
    call: &FillCall<'_>,
    c: Result<u32>,
    rust: Result<Marks>,
    code: &[u8],
    skips: &[Skip],
) -> Result {
    shared.stats.compared.increment();
    let (image, size) = match (rust, c) {
        (Ok(image), Ok(size)) => (image, size),
        (Err(rust), Err(c)) if rust == c => {
            shared.stats.identical.increment();
            return Ok(());
        }
        _ => {
            shared.stats.different.increment();
            pr_err!("one builder refuses what the other builds\n");
            return Ok(());
        }
    };
    let reference = call.reference(size)?;
    let records = judge::skip_records(call.addr(), skips)?;
    let ours = Sides::new(image, code, &records);
    let mut theirs = Sides::of_reference(&reference);
    if !call.has_records() {
        theirs.take_records_of(&ours);
    }
    match ours.judge(&theirs) {
        Ok(()) => shared.stats.identical.increment(),
        Err(difference) => {
            shared.stats.different.increment();
            keep(shared, call, difference, ours.code(), reference)?;
        }
    }
    Ok(())
}

fn keep(
    shared: &Shared,
    call: &FillCall<'_>,
    difference: Difference,
    code: &[u8],
    reference: Reference,
) -> Result {
    let what = call.what();
    let mut rust = KVec::new();
    rust.extend_from_slice(code, GFP_KERNEL)?;
    let mut arg_sizes = KVec::new();
    arg_sizes.extend_from_slice(what.model().arg_sizes(), GFP_KERNEL)?;
    shared.mismatches.lock().keep(Mismatch {
        func: what.func(),
        flags: what.flags(),
        arg_sizes,
        programs: [List::Fentry, List::ModifyReturn, List::Fexit].map(|list| what.count(list)),
        difference,
        rust,
        c: reference.code,
    });
    Ok(())
}
