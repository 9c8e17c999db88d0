// SPDX-License-Identifier: GPL-2.0
/* More programs on one function than a trampoline takes. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/* One count for each program, then for each half of a session. */
__u64 runs[128];

#define FENTRY(nr)							\
	SEC("fentry/bpf_fentry_test1")					\
	int fentry_##nr(void *ctx)					\
	{								\
		__sync_fetch_and_add(&runs[nr], 1);			\
		return 0;						\
	}

#define SESSION(nr)							\
	SEC("fsession/bpf_fentry_test1")				\
	int session_##nr(void *ctx)					\
	{								\
		int half = bpf_session_is_return(ctx) ? 64 : 0;		\
									\
		__sync_fetch_and_add(&runs[nr + half], 1);		\
		return 0;						\
	}

#define FOUR(what, a, b, c, d)	what(a) what(b) what(c) what(d)

/* BPF_MAX_TRAMP_LINKS is 36: one program too many, and a session too many. */
FOUR(FENTRY, 0, 1, 2, 3) FOUR(FENTRY, 4, 5, 6, 7)
FOUR(FENTRY, 8, 9, 10, 11) FOUR(FENTRY, 12, 13, 14, 15)
FOUR(FENTRY, 16, 17, 18, 19) FOUR(FENTRY, 20, 21, 22, 23)
FOUR(FENTRY, 24, 25, 26, 27) FOUR(FENTRY, 28, 29, 30, 31)
FOUR(FENTRY, 32, 33, 34, 35) FENTRY(36)

FOUR(SESSION, 0, 1, 2, 3) FOUR(SESSION, 4, 5, 6, 7)
FOUR(SESSION, 8, 9, 10, 11) FOUR(SESSION, 12, 13, 14, 15)
FOUR(SESSION, 16, 17, 18, 19)
