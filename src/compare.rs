// SPDX-License-Identifier: GPL-2.0

//! Both builders on one case: any function, any flags, programs that do not exist.
//!
//! What the C builder must not be asked (it warns, or writes past its page) it is not asked.

mod case;

use crate::{
    builder::{
        self,
        Error as BuildError,
        Marks,
        Request,
        Skip, //
    },
    judge::{
        self,
        Difference,
        Sides,
        Verdict, //
    },
    kapi::{
        c_builder::CBuilder,
        features,
        text::ExecText,
        tramp_image::{
            FreshImage,
            Images,
            Purpose, //
        },
    },
    lists::Lists,
    platform::Platform,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(crate) use case::Case;

/// A page of executable memory where both builders write, one after the other.
pub(crate) struct Bench {
    platform: Arc<Platform>,
    page: FreshImage,
}

/// What both builders made of a case. Sizes are in bytes, errors negative errno values.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) rust_measured: i32,
    pub(crate) rust_built: i32,
    pub(crate) rust_code: KVec<u8>,
    pub(crate) c_measured: i32,
    pub(crate) c_built: i32,
    pub(crate) c_code: KVec<u8>,
    pub(crate) verdict: Verdict,
    /// Where they differ, if it is in the code.
    pub(crate) differs_at: Option<usize>,
}

impl Bench {
    /// # Errors
    ///
    /// `ENOMEM`, `ENODEV` while the module goes.
    pub(crate) fn new(platform: Arc<Platform>) -> Result<Self> {
        let text = ExecText::alloc(u32::try_from(features::PAGE_SIZE)?, platform.bound)?;
        let images = Arc::pin_init(Images::new(), GFP_KERNEL)?;
        let purpose = Purpose {
            target: c"compare",
            call_orig: true,
        };
        let module = platform.module()?;
        let page = FreshImage::new(text, &purpose, &images, &platform.queue, module)?;
        Ok(Self { platform, page })
    }

    /// Where images of cases begin.
    pub(crate) fn addr(&self) -> u64 {
        self.page.addr()
    }

    /// Has both builders build `case`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn run(&mut self, case: &Case) -> Result<Outcome> {
        let lists = Lists::new(case.entries(), &self.platform)?;
        let mut code = KVec::from_elem(0, features::PAGE_SIZE, GFP_KERNEL)?;
        let mut skips = KVec::from_elem(Skip::default(), lists.len(), GFP_KERNEL)?;
        let (measured, built) = match case.target() {
            Ok(target) => {
                let request = Request {
                    target,
                    flags: case.flags(),
                    programs: lists.programs(),
                    machine: &self.platform.machine,
                    image: self.page.im_addr(),
                    arena_base: case.arena_base(),
                    scratch_align: 0,
                };
                let ip = self.page.addr();
                let measured = builder::measure(&request, ip);
                (
                    measured,
                    builder::build(&request, ip, &mut code, &mut skips),
                )
            }
            // C looks at the flags first.
            Err(e) => {
                let e = case.flags().check().err().unwrap_or(e);
                (Err(e), Err(e))
            }
        };
        let mut outcome = Outcome {
            rust_measured: number(measured.map(|image| image.size().into())),
            rust_built: number(built.map(|image| image.size().into())),
            ..Default::default()
        };
        // Here C would write past its page, or warn.
        let refused = [
            BuildError::TooBig,
            BuildError::Invalid,
            BuildError::Uncovered,
        ];
        if !built.is_err_and(|e| refused.contains(&e)) {
            self.ask_c(case, built, &code, &skips, &mut outcome)?;
        }
        outcome.rust_code = code;
        Ok(outcome)
    }

    fn ask_c(
        &mut self,
        case: &Case,
        rust: core::result::Result<Marks, BuildError>,
        code: &[u8],
        skips: &[Skip],
        outcome: &mut Outcome,
    ) -> Result {
        let (entries, flags) = (case.entries(), case.flags().bits());
        let bound = self.platform.bound;
        let mut builder = CBuilder::new(case.model(), case.func(), flags, entries, bound)?;
        outcome.c_measured = number(builder.measure());
        let built = builder.fill(&mut self.page, features::PAGE_SIZE);
        outcome.c_built = number(
            built
                .as_ref()
                .map(|reference| reference.size)
                .map_err(|e| *e),
        );
        outcome.verdict = Verdict::Different;
        if let (Ok(image), Ok(reference)) = (rust, &built) {
            let skips = judge::skip_records(self.page.addr(), skips)?;
            match Sides::new(image, code, &skips).judge(&Sides::of_reference(reference)) {
                Ok(()) => outcome.verdict = Verdict::Identical,
                Err(Difference::Code(at)) => outcome.differs_at = Some(at),
                Err(_) => (),
            }
        } else if outcome.rust_built == outcome.c_built {
            outcome.verdict = Verdict::Identical;
        }
        if let Ok(reference) = built {
            outcome.c_code = reference.code;
        }
        Ok(())
    }
}

/// A size or a negative errno value.
fn number<E: Into<Error>>(size: core::result::Result<usize, E>) -> i32 {
    match size {
        Ok(size) => i32::try_from(size).unwrap_or(i32::MAX),
        Err(e) => e.into().to_errno(),
    }
}
