// SPDX-License-Identifier: GPL-2.0
/*
 * BPF programs to be traced (nesting.bpf.c) and replaced, which BPF_PROG_TEST_RUN
 * runs, and a tracing program that tail-calls.
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

int tail(struct __sk_buff *skb);
int traced_tail(unsigned long long *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} tails SEC(".maps") = {
	.values = { [0] = (void *)&tail },
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} traced_tails SEC(".maps") = {
	.values = { [0] = (void *)&traced_tail },
};

/* A global function, which can be traced and replaced. */
__noinline int sub(struct __sk_buff *skb, int a, long b)
{
	volatile int sum = a + b;

	ran(NESTED_SUB);
	return skb ? sum : 0;
}

/* Another one, on whose way out there may be a tail call. */
__noinline int calls_tail(struct __sk_buff *skb)
{
	volatile int ret = 1;

	bpf_tail_call_static(skb, &tails, 0);
	return ret;
}

SEC("tc")
int main_plain(struct __sk_buff *skb)
{
	return sub(skb, 40, 2);
}

SEC("tc")
int main_tail(struct __sk_buff *skb)
{
	return calls_tail(skb) + 1;
}

SEC("tc")
int tail(struct __sk_buff *skb)
{
	ran(NESTED_TAIL);
	return 10;
}

/* A tracing program that goes on in another one. */
SEC("fentry/bpf_fentry_test1")
int BPF_PROG(tracing_tail)
{
	ran(NESTED_TRACING_TAIL);
	bpf_tail_call_static(ctx, &traced_tails, 0);
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(traced_tail)
{
	return ran(NESTED_TRACED_TAIL);
}
