// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that end up where they came from: in their own target, or in another
 * program by a tail call.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/* Runs at entry and at return, before a tail call and in it. */
__u64 runs[4];

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

/* Deleting an element calls the function that is traced. */
static __always_inline int recurse(bool is_return)
{
	__u32 key = 0;

	__sync_fetch_and_add(&runs[is_return], 1);
	bpf_map_delete_elem(&hash, &key);
	return 0;
}

SEC("fentry/htab_map_delete_elem")
int recurse_fentry(void *ctx)
{
	return recurse(false);
}

SEC("fexit/htab_map_delete_elem")
int recurse_fexit(void *ctx)
{
	return recurse(true);
}

SEC("fsession/htab_map_delete_elem")
int recurse_session(void *ctx)
{
	return recurse(bpf_session_is_return(ctx));
}

#define TAIL(kind, is_return)						\
	SEC(#kind "/bpf_fentry_test6")					\
	int tail_##kind(void *ctx)					\
	{								\
		__sync_fetch_and_add(&runs[is_return], 1);		\
		bpf_tail_call(ctx, &next, 0);				\
		return 0;						\
	}								\
									\
	SEC(#kind "/bpf_fentry_test6")					\
	int tailed_##kind(void *ctx)					\
	{								\
		__sync_fetch_and_add(&runs[2 + (is_return)], 1);	\
		return 0;						\
	}

TAIL(fentry, 0)
TAIL(fexit, 1)
TAIL(fsession, bpf_session_is_return(ctx))
