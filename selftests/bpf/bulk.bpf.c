// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that the runner loads many times over, each time for another kernel
 * function. The BPF cookie of an attachment is its place in `seen`.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "bulk.h"

char _license[] SEC("license") = "GPL";

struct bulk_seen seen[BULK_PLACES];

static __always_inline struct bulk_seen *place(void *ctx)
{
	return &seen[bpf_get_attach_cookie(ctx) % BULK_PLACES];
}

static __always_inline int at_entry(void *ctx)
{
	struct bulk_seen *seen = place(ctx);

	__sync_fetch_and_add(&seen->entries, 1);
	seen->nr_args = bpf_get_func_arg_cnt(ctx);
	return 0;
}

static __always_inline int at_return(void *ctx)
{
	struct bulk_seen *seen = place(ctx);

	__sync_fetch_and_add(&seen->returns, 1);
	seen->nr_args = bpf_get_func_arg_cnt(ctx);
	bpf_get_func_ret(ctx, &seen->ret);
	return 0;
}

static __always_inline int either(void *ctx, bool is_return)
{
	struct bulk_seen *seen = place(ctx);
	__u64 ret = 0;

	if (is_return)
		return at_return(ctx);
	bpf_get_func_ret(ctx, &ret);
	if (ret)
		__sync_fetch_and_add(&seen->wrong, 1);
	return at_entry(ctx);
}

/*
 * A cookie is 0 until the entry half has marked it. That half may be left out:
 * by the recursion counter, or while a program is detached, for the kernel
 * patches its two calls out one after the other.
 */
static __always_inline int check_cookie(void *ctx)
{
	__u64 *cookie = bpf_session_cookie(ctx), mark = ~bpf_get_attach_cookie(ctx);
	struct bulk_seen *seen = place(ctx);

	if (*cookie && (*cookie != mark || !bpf_session_is_return(ctx)))
		__sync_fetch_and_add(&seen->wrong, 1);
	if (!*cookie && bpf_session_is_return(ctx))
		__sync_fetch_and_add(&seen->alone, 1);
	*cookie = mark;
	return either(ctx, bpf_session_is_return(ctx));
}

static __always_inline int note_ip(void *ctx)
{
	place(ctx)->ip = bpf_get_func_ip(ctx);
	return either(ctx, bpf_session_is_return(ctx));
}

#define EACH(suffix, section)						\
	SEC("fentry" section "/bpf_fentry_test1")			\
	int fentry##suffix(void *ctx) { return at_entry(ctx); }		\
									\
	SEC("fexit" section "/bpf_fentry_test1")			\
	int fexit##suffix(void *ctx) { return at_return(ctx); }		\
									\
	SEC("fmod_ret" section "/bpf_fentry_test1")			\
	int fmod_ret##suffix(void *ctx) { return at_entry(ctx); }	\
									\
	SEC("fsession" section "/bpf_fentry_test1")			\
	int session##suffix(void *ctx)					\
	{								\
		return either(ctx, bpf_session_is_return(ctx));		\
	}								\
									\
	SEC("fsession" section "/bpf_fentry_test1")			\
	int with_cookie##suffix(void *ctx) { return check_cookie(ctx); }	\
									\
	SEC("fsession" section "/bpf_fentry_test1")			\
	int with_ip##suffix(void *ctx) { return note_ip(ctx); }		\
									\
	SEC("lsm" section "/bprm_committed_creds")			\
	int lsm##suffix(void *ctx) { return at_entry(ctx); }

EACH(, "")
EACH(_sleepable, ".s")

/* Not a session of a trampoline: its kfuncs stay calls. */
SEC("kprobe.session/bpf_fentry_test1")
int kprobe_session(void *ctx)
{
	__u64 *cookie = bpf_session_cookie(ctx);

	if (!bpf_session_is_return(ctx))
		*cookie = 1;
	return 0;
}
