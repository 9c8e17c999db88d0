/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen: what this module needs and `kernel::bindings` lacks.
 */
#include <linux/kprobes.h>

#include "helpers.h"
#include "../src/uapi/rust_fsession.h"

/* bindgen does not evaluate BIT(): the flags again, as constants. */
const u32 RF_BPF_TRAMP_F_RESTORE_REGS = BPF_TRAMP_F_RESTORE_REGS;
const u32 RF_BPF_TRAMP_F_CALL_ORIG = BPF_TRAMP_F_CALL_ORIG;
const u32 RF_BPF_TRAMP_F_SKIP_FRAME = BPF_TRAMP_F_SKIP_FRAME;
const u32 RF_BPF_TRAMP_F_IP_ARG = BPF_TRAMP_F_IP_ARG;
const u32 RF_BPF_TRAMP_F_RET_FENTRY_RET = BPF_TRAMP_F_RET_FENTRY_RET;
const u32 RF_BPF_TRAMP_F_ORIG_STACK = BPF_TRAMP_F_ORIG_STACK;
const u32 RF_BPF_TRAMP_F_SHARE_IPMODIFY = BPF_TRAMP_F_SHARE_IPMODIFY;
const u32 RF_BPF_TRAMP_F_TAIL_CALL_CTX = BPF_TRAMP_F_TAIL_CALL_CTX;
const u32 RF_BPF_TRAMP_F_INDIRECT = BPF_TRAMP_F_INDIRECT;

const u32 RF_INSN_BUF_SIZE = INSN_BUF_SIZE;

/* Arena arguments came together with the repaired stack offset of F_INDIRECT. */
#ifdef BTF_FMODEL_ARENA_ARG
const u8 RF_ARENA_ARG_FLAG = BTF_FMODEL_ARENA_ARG;
#else
const u8 RF_ARENA_ARG_FLAG = 0;
#endif
