// SPDX-License-Identifier: GPL-2.0

//! Calls of the C builder.

use super::{
    HookState,
    Mismatch,
    Mode, //
};
use crate::{
    image::{
        self,
        code_of,
        Difference,
        Refusal,
        Tried, //
    },
    kapi::{
        build_call::{
            PrepareCall,
            SizeCall, //
        },
        c_builder::CImage,
        plan::List, //
    },
};
use kernel::prelude::*;

impl HookState {
    /// In place of `arch_bpf_trampoline_size()`.
    pub(super) fn measure_image(&self, call: &SizeCall<'_>) -> Result<u32> {
        let mode = self.mode();
        if mode == Mode::Off {
            self.platform.scratch.forget();
            return call.ask_c();
        }
        let ours = match image::measure(&self.platform, call.plan(), None) {
            Ok(ours) => ours,
            // C would write past its page, in every mode.
            Err(Refusal::TooBig) => {
                self.stats.refused.increment();
                return Err(E2BIG);
            }
            // Building counts the fallback.
            Err(_) => return call.ask_c(),
        };
        if mode == Mode::Takeover {
            return ours;
        }
        let c = call.ask_c();
        match image::compare_sizes(ours, c) {
            Ok(None) => (),
            Ok(Some(_)) => {
                self.stats.different.increment();
                pr_err!("C measures another size: {c:?}\n");
            }
            Err(e) => self.not_compared(e),
        }
        c
    }

    /// In place of `arch_prepare_bpf_trampoline()`.
    pub(super) fn build_image(&self, call: &PrepareCall<'_>) -> Result<u32> {
        let mode = self.mode();
        if mode == Mode::Off {
            return call.ask_c();
        }
        let tried = match image::build(&self.platform, call.plan(), call.place()) {
            Ok(tried) => tried,
            // C would write past its page, in every mode.
            Err(Refusal::TooBig) => {
                self.stats.refused.increment();
                return Err(E2BIG);
            }
            Err(Refusal::NoMemory) => {
                self.stats.errors.increment();
                return call.ask_c();
            }
            Err(Refusal::NotCovered(e)) => return self.fall_back(call, e),
        };
        if mode == Mode::Takeover {
            return self.use_image(call, &tried);
        }
        let c = call.ask_c();
        if let Err(e) = self.compare(call, &tried, c) {
            self.not_compared(e);
        }
        c
    }

    fn fall_back(&self, call: &PrepareCall<'_>, why: Error) -> Result<u32> {
        self.stats.fallbacks.increment();
        pr_warn!("an image falls back to C: {why:?}\n");
        call.ask_c()
    }

    /// Gives the kernel the Rust image.
    fn use_image(&self, call: &PrepareCall<'_>, tried: &Tried<'_>) -> Result<u32> {
        let image = tried.image()?;
        if image.size() as usize > call.room() {
            return self.fall_back(call, ENOSPC);
        }
        call.fill(image, self.platform.symbols)?;
        self.stats.built.increment();
        Ok(image.size())
    }

    fn not_compared(&self, e: Error) {
        self.stats.errors.increment();
        pr_warn!("an image could not be compared: {e:?}\n");
    }

    /// Compares the Rust image with the one that C has just built.
    fn compare(&self, call: &PrepareCall<'_>, tried: &Tried<'_>, c: Result<u32>) -> Result {
        let c = match (c, tried.image()) {
            (Ok(size), Ok(ours)) => Ok(call.c_image(size, ours)?),
            // That there is one is the difference.
            (Ok(_), Err(_)) => Ok(CImage::default()),
            (Err(e), _) => Err(e),
        };
        let difference = tried.diff_image(&c)?;
        self.stats.compared.increment();
        let Some(difference) = difference else {
            self.stats.identical.increment();
            return Ok(());
        };
        self.stats.different.increment();
        match c {
            Ok(c) if difference != Difference::Errno => self.keep(call, tried, difference, &c),
            _ => {
                pr_err!("one builder refuses what the other builds\n");
                Ok(())
            }
        }
    }

    /// Keeps both images for reading.
    fn keep(
        &self,
        call: &PrepareCall<'_>,
        tried: &Tried<'_>,
        difference: Difference,
        c: &CImage,
    ) -> Result {
        let plan = call.plan();
        let copy = |bytes: &[u8]| -> Result<KVec<u8>> {
            let mut copy = KVec::new();
            copy.extend_from_slice(bytes, GFP_KERNEL)?;
            Ok(copy)
        };
        let mismatch = Mismatch {
            func: plan.func(),
            flags: plan.flags(),
            arg_sizes: copy(plan.model().arg_sizes())?,
            programs: [List::Fentry, List::ModifyReturn, List::Fexit].map(|list| plan.count(list)),
            difference,
            rust: copy(tried.image()?.code())?,
            c: copy(code_of(c))?,
        };
        self.mismatches.lock().keep(mismatch);
        Ok(())
    }
}
