// SPDX-License-Identifier: GPL-2.0
/*
 * struct_ops: a congestion control that TCP calls, and the operations that
 * BPF_PROG_TEST_RUN of a struct_ops program calls.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* Of the congestion control: init, release, ssthresh, undo, cong_avoid. */
__u64 calls[8];

static __always_inline void called(int nr)
{
	__sync_fetch_and_add(&calls[nr], 1);
}

SEC("struct_ops")
void BPF_PROG(cc_init, struct sock *sk)
{
	called(0);
}

SEC("struct_ops")
void BPF_PROG(cc_release, struct sock *sk)
{
	called(1);
}

SEC("struct_ops")
__u32 BPF_PROG(cc_ssthresh, struct sock *sk)
{
	called(2);
	return 2;
}

SEC("struct_ops")
__u32 BPF_PROG(cc_undo_cwnd, struct sock *sk)
{
	called(3);
	return 2;
}

SEC("struct_ops")
void BPF_PROG(cc_cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	called(4);
}

SEC(".struct_ops.link")
struct tcp_congestion_ops counting_cc = {
	.init		= (void *)cc_init,
	.release	= (void *)cc_release,
	.ssthresh	= (void *)cc_ssthresh,
	.undo_cwnd	= (void *)cc_undo_cwnd,
	.cong_avoid	= (void *)cc_cong_avoid,
	.name		= "rf_counting",
};

SEC("struct_ops")
int BPF_PROG(dummy_1, struct bpf_dummy_ops_state *state)
{
	return state ? 1 : 0x5f5f;
}

SEC("struct_ops")
int BPF_PROG(dummy_2, struct bpf_dummy_ops_state *state, int a1, unsigned short a2,
	     char a3, unsigned long a4)
{
	return a1 + a2 + a3 + a4;
}

SEC("struct_ops.s")
int BPF_PROG(dummy_sleepable, struct bpf_dummy_ops_state *state)
{
	return 7;
}

/* Never registered: the kernel refuses that, and makes an image for each run. */
SEC(".struct_ops")
struct bpf_dummy_ops dummy = {
	.test_1		= (void *)dummy_1,
	.test_2		= (void *)dummy_2,
	.test_sleepable	= (void *)dummy_sleepable,
};
