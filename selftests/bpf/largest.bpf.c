// SPDX-License-Identifier: GPL-2.0
/*
 * As many programs as a trampoline takes, without anything that only the JIT
 * compiler knows: interpreted, they make the longest images.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/* Runs by program: fmod_ret, then fexit. */
__u64 runs[64];

#define FMOD_RET(nr)							\
	SEC("fmod_ret/targets_modify_sleep")				\
	int fmod_ret_##nr(void *ctx)					\
	{								\
		runs[nr]++;						\
		return 0;						\
	}

#define FEXIT(nr)							\
	SEC("fexit/targets_modify_sleep")				\
	int fexit_##nr(void *ctx)					\
	{								\
		runs[32 + (nr)]++;					\
		return 0;						\
	}

#define FOUR(what, a, b, c, d)	what(a) what(b) what(c) what(d)

FOUR(FMOD_RET, 0, 1, 2, 3) FOUR(FMOD_RET, 4, 5, 6, 7)
FOUR(FMOD_RET, 8, 9, 10, 11) FOUR(FMOD_RET, 12, 13, 14, 15)
FOUR(FMOD_RET, 16, 17, 18, 19) FOUR(FMOD_RET, 20, 21, 22, 23)
FOUR(FMOD_RET, 24, 25, 26, 27) FMOD_RET(28) FMOD_RET(29)
FOUR(FEXIT, 0, 1, 2, 3) FEXIT(4) FEXIT(5)
