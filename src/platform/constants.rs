// SPDX-License-Identifier: GPL-2.0

//! Holds the constants of the pure rooms against the kernel's headers when the module is built.
//!
//! One constant is in no header: the safety tail (`BPF_INSN_SAFETY`), which `image::probe_quirks()`
//! compares when the module is loaded.

use crate::{
    builder::{
        asm::{
            ASM_NOP_MAX,
            RET_DEPTH_SHIFT, //
        },
        Flags,
        FuncModel,
        ENDBR_INSN_SIZE,
        IMAGE_MAX,
        MAX_ARGS,
        MAX_LINKS,
        PATCH_SIZE, //
    },
    kapi::{
        constants as kernel,
        features, //
    },
    session::{
        bpf,
        FuncMeta, //
    },
};

/// Fails to compile where a constant is not the kernel's.
pub(super) const fn check() {
    check_flags();
    check_images();
    check_sessions();
}

/// Flags of images.
const fn check_flags() {
    const {
        let flags = [
            Flags::RESTORE_REGS,
            Flags::CALL_ORIG,
            Flags::SKIP_FRAME,
            Flags::IP_ARG,
            Flags::RET_FENTRY_RET,
            Flags::ORIG_STACK,
            Flags::SHARE_IPMODIFY,
            Flags::TAIL_CALL_CTX,
            Flags::INDIRECT,
        ];
        let mut at = 0;
        while at < flags.len() {
            assert!(flags[at].bits() == kernel::BPF_TRAMP_F[at]);
            at += 1;
        }
    }
}

/// Limits, arguments and instructions of images.
const fn check_images() {
    const {
        assert!(MAX_LINKS == kernel::BPF_MAX_TRAMP_LINKS as usize);
        assert!(MAX_ARGS == kernel::MAX_BPF_FUNC_ARGS as usize);
        assert!(IMAGE_MAX as usize == features::PAGE_SIZE);
        if let Some((arena, nullable)) = features::ARENA_ARG {
            assert!(FuncModel::ARENA_ARG == arena);
            assert!(FuncModel::NULLABLE_ARG == nullable);
        }
        assert!(PATCH_SIZE as u32 == kernel::CALL_INSN_SIZE);
        assert!(!features::IBT || ENDBR_INSN_SIZE as u32 == kernel::ENDBR_INSN_SIZE);
        assert!(ASM_NOP_MAX as u32 == kernel::ASM_NOP_MAX);
        assert!(kernel::RET_DEPTH_SHIFT == 0 || RET_DEPTH_SHIFT as u32 == kernel::RET_DEPTH_SHIFT);
    }
}

/// The metadata word, and the instructions that read it.
const fn check_sessions() {
    const {
        assert!(FuncMeta::COOKIE_INDEX_SHIFT == kernel::BPF_TRAMP_COOKIE_INDEX_SHIFT);
        assert!(FuncMeta::IS_RETURN_SHIFT == kernel::BPF_TRAMP_IS_RETURN_SHIFT);
        assert!(bpf::BPF_REG_0 as u32 == kernel::BPF_REG_0);
        assert!(bpf::BPF_REG_1 as u32 == kernel::BPF_REG_1);
        assert!(bpf::BPF_LDX as u32 == kernel::BPF_LDX);
        assert!(bpf::BPF_ALU64 as u32 == kernel::BPF_ALU64);
        assert!(bpf::BPF_DW as u32 == kernel::BPF_DW);
        assert!(bpf::BPF_MEM as u32 == kernel::BPF_MEM);
        assert!(bpf::BPF_K as u32 == kernel::BPF_K);
        assert!(bpf::BPF_X as u32 == kernel::BPF_X);
        assert!(bpf::BPF_SUB as u32 == kernel::BPF_SUB);
        assert!(bpf::BPF_AND as u32 == kernel::BPF_AND);
        assert!(bpf::BPF_LSH as u32 == kernel::BPF_LSH);
        assert!(bpf::BPF_RSH as u32 == kernel::BPF_RSH);
        assert!(bpf::BPF_NEG as u32 == kernel::BPF_NEG);
    }
}
