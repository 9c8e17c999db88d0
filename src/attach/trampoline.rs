// SPDX-License-Identifier: GPL-2.0

//! One trampoline: what an open descriptor stands for.
//!
//! C: `struct bpf_trampoline` and `kernel/bpf/trampoline.c`

use super::{
    image::{
        self,
        Facts, //
    },
    program::{
        links,
        Attached, //
    },
};
use crate::{
    builder::MAX_LINKS,
    kapi::{
        bpf_prog::{
            AttachKind,
            BpfProg, //
        },
        bpf_target::BpfTarget,
        ftrace::DirectCall,
        tramp_image::Images,
        uapi, //
    },
    platform::Platform,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc,
        Mutex, //
    },
};

/// A trampoline and the programs on it. Dropping it detaches everything.
#[pin_data(PinnedDrop)]
pub(crate) struct Trampoline {
    platform: Arc<Platform>,
    images: Arc<Images>,
    #[pin]
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were attached.
    programs: KVec<Attached>,
    /// The way into the current image, while there are programs.
    active: Option<Active>,
    /// Number of images so far.
    generation: u32,
}

/// The way from the target into the current image. Dropped in this order: the module that the
/// target lies in must outlive the direct call.
struct Active {
    call: DirectCall,
    facts: Facts,
    target: BpfTarget,
}

impl Trampoline {
    /// A trampoline without target.
    pub(crate) fn new(platform: Arc<Platform>) -> Result<Pin<KBox<Self>>> {
        let images = Arc::pin_init(Images::new(), GFP_KERNEL)?;
        let trampoline = KBox::pin_init(
            pin_init!(Self {
                platform,
                images,
                state <- new_mutex!(State::default()),
            }),
            GFP_KERNEL,
        )?;
        trampoline.platform.trampolines.fetch_add(1, Relaxed);
        Ok(trampoline)
    }

    /// Attaches a program. After an error everything is as it was.
    ///
    /// # Errors
    ///
    /// As in `struct rust_fsession_add`, and `ENOMEM`.
    pub(crate) fn add(&self, prog: BpfProg, bpf_cookie: u64) -> Result {
        let kind = prog.kind().ok_or(EINVAL)?;
        let target = BpfTarget::of(&prog, self.platform.symbols)?;

        let mut state = self.state.lock();
        state.admit(&prog, kind, &target)?;
        let new = Attached::new(prog, kind, bpf_cookie, self.images.clone());
        state.programs.push(new, GFP_KERNEL)?;
        let ret = state.update(self, Some(target));
        if ret.is_err() {
            state.programs.pop();
        }
        ret
    }

    /// Detaches a program: when this returns, no task enters it any more.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the program is not attached here.
    pub(crate) fn remove(&self, prog: &BpfProg) -> Result {
        let mut state = self.state.lock();
        let at = state.position(prog).ok_or(ENOENT)?;
        drop(state.programs.remove(at).map_err(|_| ENOENT)?);
        if let Err(e) = state.update(self, None) {
            // The program is patched out of the old image, which stays in use.
            pr_warn!("detached without a new image: {e:?}\n");
        }
        Ok(())
    }

    /// The trampoline as it is. Without `addresses` their fields are 0.
    pub(crate) fn info(&self, addresses: bool) -> uapi::Info {
        let mut info = self.state.lock().info();
        if !addresses {
            info.target_addr = 0;
            info.image_addr = 0;
        }
        info
    }

    /// The code bytes of the current image, none if there is no image.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn code(&self) -> Result<KVec<u8>> {
        let state = self.state.lock();
        let mut code = KVec::new();
        if let Some(active) = &state.active {
            let len = active.facts.marks.code_len.into();
            active.call.image().text().read(len, &mut code)?;
        }
        Ok(code)
    }
}

#[pinned_drop]
impl PinnedDrop for Trampoline {
    fn drop(self: Pin<&mut Self>) {
        let mut state = self.state.lock();
        // First nothing leads into the image, then nothing from the image to the programs.
        state.active = None;
        state.programs.clear();
        drop(state);
        // Each image keeps the module loaded. A user who closes the last descriptor and removes the
        // module next should not find it in use for no visible reason.
        if self.platform.trampolines.fetch_sub(1, Relaxed) == 1 {
            self.images.wait_until_freed();
        }
    }
}

impl State {
    fn position(&self, prog: &BpfProg) -> Option<usize> {
        self.programs
            .iter()
            .position(|attached| attached.prog.addr() == prog.addr())
    }

    /// Checks whether `prog` may be attached, by the kernel's rules.
    ///
    /// C: `bpf_trampoline_add_prog()` in `kernel/bpf/trampoline.c`
    fn admit(&self, prog: &BpfProg, kind: AttachKind, target: &BpfTarget) -> Result {
        if let Some(active) = &self.active {
            if active.target.addr() != target.addr() {
                return Err(EINVAL);
            }
        }
        let taken: usize = self.programs.iter().map(|a| links(a.kind)).sum();
        if taken + links(kind) > MAX_LINKS {
            return Err(E2BIG);
        }
        if self.position(prog).is_some() {
            return Err(EBUSY);
        }
        let with_cookie = |attached: &&Attached| attached.prog.calls_session_cookie();
        let cookies = self.programs.iter().filter(with_cookie).count();
        if prog.calls_session_cookie() && cookies >= uapi::MAX_COOKIES {
            return Err(E2BIG);
        }
        Ok(())
    }

    /// Builds an image for the programs as they are now and swaps it in. The target is given with
    /// the first program.
    fn update(&mut self, trampoline: &Trampoline, target: Option<BpfTarget>) -> Result {
        if self.programs.is_empty() {
            self.active = None;
            return Ok(());
        }
        let platform = &trampoline.platform;
        let build =
            |target: &BpfTarget| image::build(platform, &trampoline.images, target, &self.programs);
        if let Some(active) = &mut self.active {
            let (image, facts) = build(&active.target)?;
            active.call.modify(image)?;
            active.facts = facts;
        } else {
            // The first program brings the target.
            let target = target.ok_or(EINVAL)?;
            let (image, facts) = build(&target)?;
            self.active = Some(Active {
                call: DirectCall::register(&target, image, platform.symbols)?,
                facts,
                target,
            });
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    fn count(&self, kind: AttachKind) -> u32 {
        let of_kind = |attached: &&Attached| attached.kind == kind;
        self.programs.iter().filter(of_kind).map(|_| 1).sum()
    }

    fn info(&self) -> uapi::Info {
        let mut info = uapi::Info {
            generation: self.generation,
            ..Default::default()
        };
        let Some(active) = &self.active else {
            return info;
        };
        let marks = active.facts.marks;
        info.target_addr = active.target.addr();
        info.image_addr = active.call.image().text().addr();
        info.image_size = marks.size().into();
        info.code_size = marks.code_len.into();
        info.flags = active.facts.flags.bits();
        info.nr_fentry = self.count(AttachKind::Fentry);
        info.nr_fexit = self.count(AttachKind::Fexit);
        info.nr_fmod_ret = self.count(AttachKind::ModifyReturn);
        info.nr_fsession = self.count(AttachKind::Fsession);
        let cookies = self
            .programs
            .iter()
            .filter(|a| a.prog.calls_session_cookie());
        info.nr_cookies = cookies.map(|_| 1).sum();
        info.reference = active.facts.comparison.to_uapi();
        info.fp_start = marks.fp_start.into();
        info.fp_end = marks.fp_end.into();
        // The last byte stays 0; a longer name is cut.
        let name = active.target.name().to_bytes();
        let room = info.target.len().saturating_sub(1);
        for (to, from) in info.target.iter_mut().take(room).zip(name) {
            *to = *from;
        }
        info
    }
}
