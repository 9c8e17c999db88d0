// SPDX-License-Identifier: GPL-2.0

//! Calls of the C builder's entry points, as another builder sees them.

use super::{
    bindings,
    bpf_prog::Prog,
    c_builder::{
        Entry,
        List,
        Reference, //
    },
    func_model::FuncModel,
    symbols::{
        to_u64,
        Symbols, //
    },
    tramp_image::SkipRecord, //
};
use core::{
    marker::PhantomData,
    slice, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// A call of `arch_bpf_trampoline_size()`.
///
/// # Invariants
///
/// All pointers are as that function takes them, and good for `'a`.
pub(crate) struct BuildCall<'a> {
    model: *const bindings::btf_func_model,
    flags: u32,
    nodes: *mut bindings::bpf_tramp_nodes,
    func: *mut c_void,
    _call: PhantomData<&'a Prog>,
}

impl BuildCall<'_> {
    /// # Safety
    ///
    /// The parameters must be as `arch_bpf_trampoline_size()` takes them.
    pub(super) unsafe fn new(
        model: *const bindings::btf_func_model,
        flags: u32,
        nodes: *mut bindings::bpf_tramp_nodes,
        func: *mut c_void,
    ) -> Self {
        // INVARIANT: By the caller's promise.
        Self {
            model,
            flags,
            nodes,
            func,
            _call: PhantomData,
        }
    }

    /// The function's arguments.
    pub(crate) fn model(&self) -> FuncModel {
        // SAFETY: By the type invariant.
        FuncModel(unsafe { *self.model })
    }

    /// `BPF_TRAMP_F_*`
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// Address of the function.
    pub(crate) fn func(&self) -> u64 {
        to_u64(self.func.expose_provenance())
    }

    /// The kernel address of the arena against which arguments are converted, if any are.
    pub(crate) fn arena_base(&self, _bound: Symbols) -> Option<u64> {
        // SAFETY: `_bound` says that the call is bound; the rest is the type invariant.
        match unsafe { bindings::rf_bpf_tramp_arena_base(self.model, self.nodes, self.flags) } {
            0 => None,
            base => Some(base),
        }
    }

    /// The programs in the order in which they run, list by list.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        [List::Fentry, List::Fexit, List::ModifyReturn]
            .into_iter()
            .flat_map(|list| self.list(list).iter().map(move |&node| (list, node)))
            .map(|(list, node)| {
                // SAFETY: By the type invariant, each node has a link with a program. `Prog` is a
                // transparent wrapper.
                let (prog, node) = unsafe { (&*(*(*node).link).prog.cast::<Prog>(), &*node) };
                (list, prog, node.cookie)
            })
    }

    /// How many programs a list has.
    pub(crate) fn count(&self, list: List) -> usize {
        self.list(list).len()
    }

    fn list(&self, list: List) -> &[*mut bindings::bpf_tramp_node] {
        // SAFETY: By the type invariant, there is an entry for each kind.
        let nodes = unsafe { &*self.nodes.add(list as usize) };
        let len = usize::try_from(nodes.nr_nodes).unwrap_or(0);
        nodes.nodes.get(..len).unwrap_or(&nodes.nodes)
    }

    /// Lets the kernel's function answer.
    ///
    /// # Errors
    ///
    /// Its own.
    pub(crate) fn ask_c(&mut self) -> Result<u32> {
        // SAFETY: Whoever is called in its place had it bound; the rest is the type invariant.
        to_size(unsafe {
            bindings::rf_arch_bpf_trampoline_size(self.model, self.flags, self.nodes, self.func)
        })
    }
}

fn to_size(ret: c_int) -> Result<u32> {
    to_result(ret.min(0))?;
    Ok(u32::try_from(ret)?)
}

/// A call of `arch_prepare_bpf_trampoline()`.
///
/// # Invariants
///
/// All pointers are as that function takes them, and good for `'a`.
pub(crate) struct FillCall<'a> {
    im: *mut bindings::bpf_tramp_image,
    start: *mut c_void,
    end: *mut c_void,
    what: BuildCall<'a>,
    /// Skip records that there were before.
    skips_before: usize,
}

impl<'a> FillCall<'a> {
    /// # Safety
    ///
    /// The parameters must be as `arch_prepare_bpf_trampoline()` takes them.
    pub(super) unsafe fn new(
        im: *mut bindings::bpf_tramp_image,
        start: *mut c_void,
        end: *mut c_void,
        what: BuildCall<'a>,
    ) -> Self {
        // SAFETY: By the caller's promise, `im` is valid or null.
        let skips_before = unsafe { im.as_ref() }.map_or(0, |im| im.nr_skips);
        // INVARIANT: By the caller's promise.
        Self {
            im,
            start,
            end,
            what,
            skips_before: usize::try_from(skips_before).unwrap_or(0),
        }
    }

    /// What is to be built.
    pub(crate) fn what(&self) -> &BuildCall<'a> {
        &self.what
    }

    /// Address of the `struct bpf_tramp_image`, 0 if there is none.
    pub(crate) fn im_addr(&self) -> u64 {
        to_u64(self.im.expose_provenance())
    }

    /// Address of the image.
    pub(crate) fn addr(&self) -> u64 {
        to_u64(self.start.expose_provenance())
    }

    /// Bytes that there are for it.
    pub(crate) fn room(&self) -> usize {
        self.end.addr().saturating_sub(self.start.addr())
    }

    /// Whether skip records and the range of the frame pointer are kept.
    pub(crate) fn has_records(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { self.im.as_ref() }.is_some_and(|im| !im.skips.is_null())
    }

    /// Lets the kernel's function build.
    ///
    /// # Errors
    ///
    /// Its own.
    pub(crate) fn ask_c(&mut self) -> Result<u32> {
        // SAFETY: Whoever is called in its place had it bound; the rest is the type invariant.
        to_size(unsafe {
            bindings::rf_arch_prepare_bpf_trampoline(
                self.im,
                self.start,
                self.end,
                self.what.model,
                self.what.flags,
                self.what.nodes,
                self.what.func,
            )
        })
    }

    /// What the kernel's function has built, after it said `size`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reference(&self, size: u32) -> Result<Reference> {
        let size = usize::try_from(size)?;
        let len = Reference::code_len(size).min(self.room());
        let mut code = KVec::with_capacity(len, GFP_KERNEL)?;
        // SAFETY: By the type invariant, the image has `room()` bytes, and no task is in it yet.
        let bytes = unsafe { slice::from_raw_parts(self.start.cast::<u8>(), len) };
        code.extend_from_slice(bytes, GFP_KERNEL)?;
        let mut skips = KVec::new();
        let mut fp = (0, 0);
        // SAFETY: By the type invariant.
        if let Some(im) = unsafe { self.im.as_ref() } {
            fp = (im.ksym.fp_start, im.ksym.fp_end);
            let nr_skips = usize::try_from(im.nr_skips)?;
            if !im.skips.is_null() {
                // SAFETY: The kernel keeps `nr_skips` records there.
                let all = unsafe { slice::from_raw_parts(im.skips, nr_skips) };
                for skip in all.iter().skip(self.skips_before) {
                    skips.push(SkipRecord::from(skip), GFP_KERNEL)?;
                }
            }
        }
        Ok(Reference {
            size,
            code,
            skips,
            fp,
        })
    }

    /// Fills the image in place of the kernel's function.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `code` is longer than the image, those of `bpf_arch_text_copy()`.
    pub(crate) fn fill(
        &mut self,
        code: &mut [u8],
        skips: &[SkipRecord],
        fp: (u32, u32),
        _bound: Symbols,
    ) -> Result {
        if code.len() > self.room() {
            return Err(EINVAL);
        }
        // SAFETY: `_bound` says that the call is bound; by the type invariant and the check above
        // the image holds `code.len()` bytes, and no task is in it yet.
        from_err_ptr(unsafe {
            bindings::rf_bpf_arch_text_copy(self.start, code.as_mut_ptr().cast(), code.len())
        })?;
        // SAFETY: By the type invariant; the caller of the replaced function owns `im`.
        let Some(im) = (unsafe { self.im.as_mut() }) else {
            return Ok(());
        };
        (im.ksym.fp_start, im.ksym.fp_end) = fp;
        if im.skips.is_null() {
            return Ok(());
        }
        for (at, skip) in skips.iter().enumerate() {
            // SAFETY: The kernel has allocated a record for each program call.
            unsafe { *im.skips.add(self.skips_before + at) = bindings::bpf_tramp_skip::from(skip) };
        }
        im.nr_skips = c_int::try_from(self.skips_before + skips.len())?;
        Ok(())
    }
}
