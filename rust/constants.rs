// SPDX-License-Identifier: GPL-2.0

//! Constants of the kernel's headers, under the kernel's names.
//!
//! C headers: `include/linux/bpf.h`, `include/uapi/linux/bpf.h`, `arch/x86/include/asm/`

use super::bindings;

pub(crate) use super::bindings::{
    BPF_ALU64,
    BPF_AND,
    BPF_DW,
    BPF_K,
    BPF_LDX,
    BPF_LSH,
    BPF_MAX_TRAMP_LINKS,
    BPF_MEM,
    BPF_NEG,
    BPF_REG_0,
    BPF_REG_1,
    BPF_RSH,
    BPF_SUB,
    BPF_TRAMP_COOKIE_INDEX_SHIFT,
    BPF_TRAMP_IS_RETURN_SHIFT,
    BPF_X,
    CALL_INSN_SIZE,
    ENDBR_INSN_SIZE,
    MAX_BPF_FUNC_ARGS, //
};

/// Bytes of the longest nop.
pub(crate) const ASM_NOP_MAX: u32 = bindings::RF_ASM_NOP_MAX;

/// Bits by which a call moves the call-depth counter, 0 in a kernel without it.
pub(crate) const RET_DEPTH_SHIFT: u32 = bindings::RF_RET_DEPTH_SHIFT;

/// The values of `BPF_TRAMP_F_*`, from the lowest bit up.
pub(crate) const BPF_TRAMP_F: [u32; 9] = [
    bindings::RF_BPF_TRAMP_F_RESTORE_REGS,
    bindings::RF_BPF_TRAMP_F_CALL_ORIG,
    bindings::RF_BPF_TRAMP_F_SKIP_FRAME,
    bindings::RF_BPF_TRAMP_F_IP_ARG,
    bindings::RF_BPF_TRAMP_F_RET_FENTRY_RET,
    bindings::RF_BPF_TRAMP_F_ORIG_STACK,
    bindings::RF_BPF_TRAMP_F_SHARE_IPMODIFY,
    bindings::RF_BPF_TRAMP_F_TAIL_CALL_CTX,
    bindings::RF_BPF_TRAMP_F_INDIRECT,
];
