/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input of bindgen: what this module needs and `kernel::bindings` lacks.
 */
#include <linux/kprobes.h>
#include <asm/nops.h>
#include <asm/nospec-branch.h>
#include <asm/text-patching.h>

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
const u32 RF_ASM_NOP_MAX = ASM_NOP_MAX;
#ifdef CONFIG_MITIGATION_CALL_DEPTH_TRACKING
const u32 RF_RET_DEPTH_SHIFT = RET_DEPTH_SHIFT;
#else
const u32 RF_RET_DEPTH_SHIFT = 0;
#endif

/* Nops between the hash that a kCFI caller compares and the function. */
#ifdef CONFIG_CALL_PADDING
const u8 RF_KCFI_PADDING = CONFIG_FUNCTION_PADDING_CFI;
#else
const u8 RF_KCFI_PADDING = 0;
#endif

/* Bytes of the instruction at an ftrace site. */
const u32 RF_FTRACE_SITE_SIZE = MCOUNT_INSN_SIZE;

/* The request numbers, which bindgen does not compute either. */
const u32 RF_IOC_ADD = RUST_FSESSION_IOC_ADD;
const u32 RF_IOC_REMOVE = RUST_FSESSION_IOC_REMOVE;
const u32 RF_IOC_INFO = RUST_FSESSION_IOC_INFO;
const u32 RF_IOC_COMPARE = RUST_FSESSION_IOC_COMPARE;

/* 0 where the kernel converts no arena arguments. */
#ifdef BTF_FMODEL_ARENA_ARG
const u8 RF_ARENA_ARG_FLAG = BTF_FMODEL_ARENA_ARG;
const u8 RF_NULLABLE_ARG_FLAG = BTF_FMODEL_NULLABLE_ARG;
#else
const u8 RF_ARENA_ARG_FLAG = 0;
const u8 RF_NULLABLE_ARG_FLAG = 0;
#endif
