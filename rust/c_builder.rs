// SPDX-License-Identifier: GPL-2.0

//! The kernel's own builder, to hold the Rust one against.
//!
//! C: `arch_prepare_bpf_trampoline()` in `arch/x86/net/bpf_jit_comp.c`

use super::{
    bindings,
    bpf_prog::Prog,
    func_model::FuncModel,
    symbols::Symbols,
    tramp_image::{
        FreshImage,
        SkipRecord, //
    },
};
use core::{
    marker::PhantomData,
    mem,
    ptr, //
};
use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// The three lists of a trampoline's programs, in the order of `enum bpf_tramp_prog_type`.
#[derive(Clone, Copy)]
pub(crate) enum List {
    /// Before the function.
    Fentry = bindings::bpf_tramp_prog_type_BPF_TRAMP_FENTRY as isize,
    /// After the function.
    Fexit = bindings::bpf_tramp_prog_type_BPF_TRAMP_FEXIT as isize,
    /// Before the function, with a say in whether it runs.
    ModifyReturn = bindings::bpf_tramp_prog_type_BPF_TRAMP_MODIFY_RETURN as isize,
}

const NR_LISTS: usize = bindings::bpf_tramp_prog_type_BPF_TRAMP_MAX as usize;

/// One entry of a list: the program and its BPF cookie.
pub(crate) type Entry<'a> = (List, &'a Prog, u64);

/// What the C builder made.
pub(crate) struct Reference {
    /// Size of the image in bytes, as it counts them.
    pub(crate) size: usize,
    /// The bytes of code.
    pub(crate) code: KVec<u8>,
    /// The skip records, in its order.
    pub(crate) skips: KVec<SkipRecord>,
    /// Where the frame pointer is set up and taken down, in bytes from the start.
    pub(crate) fp: (u32, u32),
}

/// Bytes that the C builder counts behind the code (`BPF_INSN_SAFETY`).
const INSN_SAFETY: usize = 64;

impl Reference {
    /// Bytes of code in an image of `size` bytes.
    pub(super) fn code_len(size: usize) -> usize {
        size.saturating_sub(INSN_SAFETY)
    }
}

/// The C builder, told what to build.
///
/// It checks where it writes only afterwards. So it must be asked for images only that the Rust
/// builder has found to fit, and the two must not differ by more than the slack at an image's end.
pub(crate) struct CBuilder<'a> {
    model: FuncModel,
    func: u64,
    flags: u32,
    nodes: Nodes<'a>,
}

impl<'a> CBuilder<'a> {
    /// Takes the target's arguments and address, flags (`BPF_TRAMP_F_*`) and programs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `E2BIG` for more programs than a list takes.
    pub(crate) fn new(
        model: FuncModel,
        func: u64,
        flags: u32,
        entries: impl Iterator<Item = Entry<'a>> + Clone,
        _bound: Symbols,
    ) -> Result<Self> {
        Ok(Self {
            model,
            func,
            flags,
            nodes: Nodes::new(entries)?,
        })
    }

    fn func(&self) -> *mut c_void {
        ptr::with_exposed_provenance_mut(self.func as usize)
    }

    /// Measures the image, in bytes.
    ///
    /// # Errors
    ///
    /// The C builder's.
    pub(crate) fn measure(&mut self) -> Result<usize> {
        // SAFETY: There is no `CBuilder` without `Symbols`, so the call is bound. Model and nodes
        // are complete. It writes to a page of its own, which the image fits, as this type asks
        // for.
        let ret = unsafe {
            bindings::rf_arch_bpf_trampoline_size(
                &self.model.0,
                self.flags,
                self.nodes.as_mut_ptr(),
                self.func(),
            )
        };
        to_size(ret)
    }

    /// Fills the first `room` bytes of `image`.
    ///
    /// # Errors
    ///
    /// The C builder's, `EINVAL` if `image` is smaller, `ENOMEM`.
    pub(crate) fn fill(&mut self, image: &mut FreshImage, room: usize) -> Result<Reference> {
        let start = image.text().as_ptr();
        if room > image.text().size() as usize {
            return Err(EINVAL);
        }
        let no_skip = bindings::bpf_tramp_skip::default();
        let mut skips = KVec::from_elem(no_skip, self.nodes.len(), GFP_KERNEL)?;
        let im = image.im();
        // SAFETY: As in `measure()`. `image` is fresh, so that this is the only access to `im` and
        // to the text, which has `room` bytes. There is a skip record for each entry.
        let ret = unsafe {
            (*im).skips = skips.as_mut_ptr();
            (*im).nr_skips = 0;
            bindings::rf_arch_prepare_bpf_trampoline(
                im,
                start,
                start.byte_add(room),
                &self.model.0,
                self.flags,
                self.nodes.as_mut_ptr(),
                self.func(),
            )
        };
        // SAFETY: As above. The records go with this function, so the image must not keep them.
        let (nr_skips, fp) = unsafe {
            (*im).skips = ptr::null_mut();
            let nr_skips = mem::take(&mut (*im).nr_skips);
            (nr_skips, ((*im).ksym.fp_start, (*im).ksym.fp_end))
        };
        let size = to_size(ret)?;
        skips.truncate(usize::try_from(nr_skips)?);

        let mut records = KVec::with_capacity(skips.len(), GFP_KERNEL)?;
        for skip in &skips {
            records.push(SkipRecord::from(skip), GFP_KERNEL)?;
        }
        let mut code = KVec::new();
        image.text().read(Reference::code_len(size), &mut code)?;
        Ok(Reference {
            size,
            code,
            skips: records,
            fp,
        })
    }
}

fn to_size(ret: c_int) -> Result<usize> {
    to_result(ret.min(0))?;
    Ok(usize::try_from(ret)?)
}

/// The programs as the C builder takes them: three lists of nodes, each with a link to its program.
struct Nodes<'a> {
    lists: KVec<bindings::bpf_tramp_nodes>,
    nodes: KVec<bindings::bpf_tramp_node>,
    _links: KVec<bindings::bpf_link>,
    _programs: PhantomData<&'a Prog>,
}

impl<'a> Nodes<'a> {
    fn new(entries: impl Iterator<Item = Entry<'a>> + Clone) -> Result<Self> {
        let count = entries.clone().count();
        let mut lists =
            KVec::from_elem(bindings::bpf_tramp_nodes::default(), NR_LISTS, GFP_KERNEL)?;
        let mut nodes = KVec::from_elem(bindings::bpf_tramp_node::default(), count, GFP_KERNEL)?;
        let mut links = KVec::from_elem(bindings::bpf_link::default(), count, GFP_KERNEL)?;
        // The vectors have their final size: pointers into them stay good.
        for ((list, prog, cookie), (node, link)) in entries.zip(nodes.iter_mut().zip(&mut links)) {
            link.prog = prog.as_ptr();
            node.link = link;
            node.cookie = cookie;
            let list = lists.get_mut(list as usize).ok_or(EINVAL)?;
            let slot = list
                .nodes
                .get_mut(usize::try_from(list.nr_nodes)?)
                .ok_or(E2BIG)?;
            *slot = node;
            list.nr_nodes += 1;
        }
        Ok(Self {
            lists,
            nodes,
            _links: links,
            _programs: PhantomData,
        })
    }

    fn as_mut_ptr(&mut self) -> *mut bindings::bpf_tramp_nodes {
        self.lists.as_mut_ptr()
    }

    fn len(&self) -> usize {
        self.nodes.len()
    }
}
