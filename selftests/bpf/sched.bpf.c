// SPDX-License-Identifier: GPL-2.0
/* A scheduler that has one queue for all, and counts. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* enqueue, running, stopping, init, exit; and how it ended. */
__u64 calls[6];

static __always_inline void called(int nr)
{
	__sync_fetch_and_add(&calls[nr], 1);
}

SEC("struct_ops")
void BPF_PROG(sched_enqueue, struct task_struct *p, u64 enq_flags)
{
	called(0);
	scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, SCX_SLICE_DFL, enq_flags);
}

SEC("struct_ops")
void BPF_PROG(sched_running, struct task_struct *p)
{
	called(1);
}

SEC("struct_ops")
void BPF_PROG(sched_stopping, struct task_struct *p, bool runnable)
{
	called(2);
}

SEC("struct_ops.s")
s32 BPF_PROG(sched_init)
{
	called(3);
	return 0;
}

SEC("struct_ops")
void BPF_PROG(sched_exit, struct scx_exit_info *info)
{
	called(4);
	calls[5] = info->kind;
}

SEC(".struct_ops.link")
struct sched_ext_ops counting_sched = {
	.enqueue	= (void *)sched_enqueue,
	.running	= (void *)sched_running,
	.stopping	= (void *)sched_stopping,
	.init		= (void *)sched_init,
	.exit		= (void *)sched_exit,
	.name		= "rf_counting",
};
