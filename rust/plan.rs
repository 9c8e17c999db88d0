// SPDX-License-Identifier: GPL-2.0

//! Plans: what an image is built for, as the kernel tells its builder.
//!
//! C: the parameters of `arch_prepare_bpf_trampoline()` in `arch/x86/net/bpf_jit_comp.c`

use super::{
    bindings,
    bpf_prog::{
        BpfProg,
        Prog, //
    },
    bpf_target::BpfTarget,
    btf_func_model::BtfFuncModel,
    fake_prog::FakeProgs,
    symbols::{
        to_u64,
        Symbols, //
    },
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

/// The three lists of a trampoline's programs (`enum bpf_tramp_prog_type`).
#[derive(Clone, Copy)]
pub(crate) enum List {
    /// Before the function.
    Fentry = bindings::bpf_tramp_prog_type_BPF_TRAMP_FENTRY as isize,
    /// After the function.
    Fexit = bindings::bpf_tramp_prog_type_BPF_TRAMP_FEXIT as isize,
    /// Before the function, with a say in whether it runs.
    ModifyReturn = bindings::bpf_tramp_prog_type_BPF_TRAMP_MODIFY_RETURN as isize,
}

impl List {
    /// All of them, in the order of [`Plan::counts()`].
    pub(crate) const ALL: [Self; NR_LISTS] = [Self::Fentry, Self::Fexit, Self::ModifyReturn];
}

const NR_LISTS: usize = bindings::bpf_tramp_prog_type_BPF_TRAMP_MAX as usize;

/// A program on a list (`struct bpf_tramp_node`).
#[derive(Clone, Copy)]
pub(crate) struct Node<'a, P = Prog> {
    pub(crate) list: List,
    pub(crate) prog: &'a P,
    /// What `bpf_get_attach_cookie()` returns.
    pub(crate) cookie: u64,
}

/// Where an image is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Address at which the code runs.
    pub(crate) text: u64,
    /// Address of the `struct bpf_tramp_image` that the code refers to, 0 if there is none.
    pub(crate) im: u64,
}

/// What an image is built for.
///
/// # Invariants
///
/// The pointers are as `arch_bpf_trampoline_size()` takes them, and valid for `'a`.
pub(crate) struct Plan<'a> {
    model: *const bindings::btf_func_model,
    flags: u32,
    nodes: *mut bindings::bpf_tramp_nodes,
    func: *mut c_void,
    /// Every program exists, and `model` is the function's.
    real: bool,
    _nodes: PhantomData<&'a Prog>,
}

/// What a plan asks for, but for its programs.
#[derive(PartialEq, Eq)]
pub(crate) struct PlanKey {
    arg_sizes: [u8; MAX_ARGS],
    arg_flags: [u8; MAX_ARGS],
    nr_args: u8,
    flags: u32,
    func: u64,
    counts: [c_int; NR_LISTS],
    real: bool,
}

const MAX_ARGS: usize = bindings::MAX_BPF_FUNC_ARGS as usize;

impl Plan<'_> {
    /// The plan of a caller in the kernel.
    ///
    /// # Safety
    ///
    /// The parameters must be as `arch_bpf_trampoline_size()` takes them, and valid for `'a`.
    pub(super) unsafe fn of_kernel(
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
            real: true,
            _nodes: PhantomData,
        }
    }

    /// The function's arguments.
    pub(crate) fn model(&self) -> BtfFuncModel {
        // SAFETY: By the type invariant.
        BtfFuncModel(unsafe { *self.model })
    }

    /// What is the same in plans that ask for the same image, if their programs are the same, too.
    pub(crate) fn key(&self) -> PlanKey {
        // SAFETY: By the type invariant.
        let model = unsafe { &*self.model };
        let count = |list| {
            // SAFETY: As above, there is an element for each list.
            unsafe { (*self.nodes.add(list)).nr_nodes }
        };
        PlanKey {
            arg_sizes: model.arg_size,
            arg_flags: model.arg_flags,
            nr_args: model.nr_args,
            flags: self.flags,
            func: self.func(),
            counts: core::array::from_fn(count),
            real: self.real,
        }
    }

    /// `BPF_TRAMP_F_*`
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// Address of the function.
    pub(crate) fn func(&self) -> u64 {
        to_u64(self.func.expose_provenance())
    }

    /// Whether an image of this plan may run: its programs exist, and the function is described as
    /// it is.
    pub(super) fn is_real(&self) -> bool {
        self.real
    }

    /// Kernel address of the arena against which arguments are converted, if any are.
    pub(crate) fn arena_base(&self, _symbols: Symbols) -> Option<u64> {
        // SAFETY: `_symbols` proves that the call is bound; the rest is the type invariant.
        match unsafe { bindings::rf_bpf_tramp_arena_base(self.model, self.nodes, self.flags) } {
            0 => None,
            base => Some(base),
        }
    }

    /// The programs on a list, in the order in which they run.
    pub(crate) fn programs(&self, list: List) -> impl Iterator<Item = Node<'_>> + Clone {
        self.list(list).iter().map(move |&node| {
            // SAFETY: By the type invariant, each node has a link with a program. `Prog` is a
            // transparent wrapper.
            let (prog, cookie) = unsafe { (&*(*(*node).link).prog.cast::<Prog>(), (*node).cookie) };
            Node { list, prog, cookie }
        })
    }

    /// Number of programs on a list.
    pub(crate) fn count(&self, list: List) -> usize {
        self.list(list).len()
    }

    /// Number of programs on each list of [`List::ALL`].
    pub(crate) fn counts(&self) -> [usize; NR_LISTS] {
        List::ALL.map(|list| self.count(list))
    }

    fn list(&self, list: List) -> &[*mut bindings::bpf_tramp_node] {
        // SAFETY: By the type invariant, there is an element for each list, which does not change.
        let nodes = unsafe { &*self.nodes.add(list as usize) };
        let len = usize::try_from(nodes.nr_nodes).unwrap_or(0);
        nodes.nodes.get(..len).unwrap_or(&nodes.nodes)
    }

    /// The parameters in the C builder's order: model, flags, nodes, function.
    pub(super) fn as_args(
        &self,
    ) -> (
        *const bindings::btf_func_model,
        u32,
        *mut bindings::bpf_tramp_nodes,
        *mut c_void,
    ) {
        (self.model, self.flags, self.nodes, self.func)
    }
}

/// A plan of this module's own: the lists and links that a [`Plan`] points to.
pub(crate) struct OwnPlan<'a> {
    model: BtfFuncModel,
    flags: u32,
    func: u64,
    real: bool,
    lists: KVec<bindings::bpf_tramp_nodes>,
    // `lists` points to the nodes, and they to the links.
    _nodes: KVec<bindings::bpf_tramp_node>,
    _links: KVec<bindings::bpf_link>,
    _programs: PhantomData<&'a Prog>,
}

impl<'a> OwnPlan<'a> {
    /// A plan for the programs of `nodes` on `target`, each list in the order in which it runs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `E2BIG` for more programs than a list takes.
    pub(crate) fn new(
        target: &BpfTarget,
        flags: u32,
        nodes: impl Iterator<Item = Node<'a, BpfProg>> + Clone,
    ) -> Result<Self> {
        let nodes = nodes.map(|node| Node {
            list: node.list,
            prog: &**node.prog,
            cookie: node.cookie,
        });
        Self::with_nodes(target.model(), target.addr(), flags, nodes, true)
    }

    /// A plan for programs and a function that do not exist. Its image never runs.
    ///
    /// `places` has the list and the cookie of each program.
    ///
    /// # Errors
    ///
    /// As [`new()`](Self::new).
    pub(crate) fn pretended(
        model: BtfFuncModel,
        func: u64,
        flags: u32,
        programs: &'a FakeProgs,
        places: &[(List, u64)],
    ) -> Result<Self> {
        let nodes = places
            .iter()
            .zip(programs.iter())
            .map(|(&(list, cookie), prog)| Node { list, prog, cookie });
        Self::with_nodes(model, func, flags, nodes, false)
    }

    fn with_nodes<'n>(
        model: BtfFuncModel,
        func: u64,
        flags: u32,
        from: impl Iterator<Item = Node<'n>> + Clone,
        real: bool,
    ) -> Result<Self> {
        let count = from.clone().count();
        let mut lists =
            KVec::from_elem(bindings::bpf_tramp_nodes::default(), NR_LISTS, GFP_KERNEL)?;
        let mut nodes = KVec::from_elem(bindings::bpf_tramp_node::default(), count, GFP_KERNEL)?;
        let mut links = KVec::from_elem(bindings::bpf_link::default(), count, GFP_KERNEL)?;
        // The vectors have their final size: pointers into them stay good.
        for (from, (node, link)) in from.zip(nodes.iter_mut().zip(&mut links)) {
            link.prog = from.prog.as_ptr();
            node.link = link;
            node.cookie = from.cookie;
            let list = lists.get_mut(from.list as usize).ok_or(EINVAL)?;
            let slot = list
                .nodes
                .get_mut(usize::try_from(list.nr_nodes)?)
                .ok_or(E2BIG)?;
            *slot = node;
            list.nr_nodes += 1;
        }
        Ok(Self {
            model,
            flags,
            func,
            real,
            lists,
            _nodes: nodes,
            _links: links,
            _programs: PhantomData,
        })
    }

    /// The plan.
    pub(crate) fn plan(&self) -> Plan<'_> {
        // INVARIANT: `with_nodes()` made the lists complete, and they live as long as `self`. No
        // builder writes to them.
        Plan {
            model: &self.model.0,
            flags: self.flags,
            nodes: self.lists.as_ptr().cast_mut(),
            func: ptr::with_exposed_provenance_mut(self.func as usize),
            real: self.real,
            _nodes: PhantomData,
        }
    }
}
