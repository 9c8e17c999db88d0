// SPDX-License-Identifier: GPL-2.0
/*
 * Tracing programs on the functions of nested.bpf.c, as their names say, and
 * one that replaces a function there. The runner sets the programs they are for.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "nested.h"

char _license[] SEC("license") = "GPL";

__u64 runs[NESTED_PLACES];

static __always_inline int ran(enum nested_place place)
{
	__sync_fetch_and_add(&runs[place], 1);
	return 0;
}

#define ON(what, place)							\
	SEC("fentry/" #what)						\
	int BPF_PROG(what##_fentry) { return ran(place); }		\
									\
	SEC("fexit/" #what)						\
	int BPF_PROG(what##_fexit) { return ran(place + 1); }		\
									\
	SEC("fsession/" #what)						\
	int BPF_PROG(what##_session)					\
	{								\
		__u64 *cookie = bpf_session_cookie(ctx);		\
									\
		if (!bpf_session_is_return(ctx)) {			\
			*cookie = place;				\
			return ran(place + 2);				\
		}							\
		return *cookie == place ? ran(place + 3) : 0;		\
	}

ON(main_plain, NESTED_ON_PLAIN)
ON(sub, NESTED_ON_SUB)
ON(main_tail, NESTED_ON_TAIL)
ON(calls_tail, NESTED_ON_CALLS_TAIL)
ON(new_sub, NESTED_ON_NEW_SUB)

SEC("freplace/sub")
int new_sub(struct __sk_buff *skb, int a, long b)
{
	ran(NESTED_NEW_SUB);
	return a - b;
}
