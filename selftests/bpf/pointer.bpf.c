// SPDX-License-Identifier: GPL-2.0
/*
 * Sessions that follow pointers which may lead nowhere: a load that faults reads
 * 0, and the program goes on.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

char _license[] SEC("license") = "GPL";

/* By half; where the pointer leads, its second word, the other argument. */
struct seen {
	__u64 runs;
	__u64 pointer;
	__u64 first;
	__u64 second;
	__u64 other;
} seen[2];

SEC("fsession/targets_args_8")
int BPF_PROG(pointer, __u64 a, __u64 b)
{
	struct seen *s = &seen[bpf_session_is_return(ctx) ? 1 : 0];
	struct list_head *list;

	list = bpf_rdonly_cast((void *)a, bpf_core_type_id_kernel(struct list_head));
	s->runs++;
	s->pointer = a;
	s->first = (__u64)list->next;
	s->second = (__u64)list->prev;
	s->other = b;
	return 0;
}

/* What the series' own selftest looks at: NULL, and a structure that holds it. */
static __always_inline int look(void *ctx, struct bpf_fentry_test_t *arg, int ret)
{
	struct seen *s = &seen[bpf_session_is_return(ctx) ? 1 : 0];

	s->runs++;
	s->pointer = (__u64)arg;
	s->first = (__u64)arg->a;
	s->second = (__u64)arg->a->a;
	s->other = ret;
	return 0;
}

SEC("fsession/bpf_fentry_test7")
int BPF_PROG(null_struct, struct bpf_fentry_test_t *arg, int ret)
{
	return look(ctx, arg, ret);
}

SEC("fsession/bpf_fentry_test8")
int BPF_PROG(null_member, struct bpf_fentry_test_t *arg, int ret)
{
	return look(ctx, arg, ret);
}
