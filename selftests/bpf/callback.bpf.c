// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks: of timers and work queues, which call a function that is traced, and
 * of a session, which ask for the session's half and cookie.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct {
	/* Runs of the two callbacks, and what could not be set up. */
	__u64 fired[2];
	__s64 failed;
	/* Session kfuncs everywhere but in the program itself, by half. */
	struct {
		__u64 in_function;
		__u64 in_global;
		__u64 in_loop;
		__u64 in_each;
		__u64 wrong;
	} asked[2];
	/* Distance of each program's stack from its context, runs by half, damage. */
	__u64 private[2][4];
} seen;

struct element {
	struct bpf_timer timer;
	struct bpf_wq work;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct element);
} elements SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} hash SEC(".maps");

/* Deleting an element calls the function that is traced. */
static __always_inline int call_traced(void)
{
	__u32 key = 0;

	bpf_map_delete_elem(&hash, &key);
	return 0;
}

static int timer_fires(void *map, int *key, struct element *element)
{
	__sync_fetch_and_add(&seen.fired[0], 1);
	return call_traced();
}

static int work_runs(void *map, int *key, void *value)
{
	__sync_fetch_and_add(&seen.fired[1], 1);
	return call_traced();
}

SEC("syscall")
int call(void *ctx)
{
	return call_traced();
}

SEC("syscall")
int start_timer(void *ctx)
{
	__u32 key = 0;
	struct element *element = bpf_map_lookup_elem(&elements, &key);

	if (!element)
		return -1;
	/* It is there from the second time on. */
	bpf_timer_init(&element->timer, &elements, 1 /* CLOCK_MONOTONIC */);
	seen.failed |= bpf_timer_set_callback(&element->timer, timer_fires);
	seen.failed |= bpf_timer_start(&element->timer, 1000, 0);
	return seen.failed;
}

SEC("syscall")
int start_work(void *ctx)
{
	__u32 key = 0;
	struct element *element = bpf_map_lookup_elem(&elements, &key);

	if (!element)
		return -1;
	bpf_wq_init(&element->work, &elements, 0);
	seen.failed |= bpf_wq_set_callback(&element->work, work_runs, 0);
	seen.failed |= bpf_wq_start(&element->work, 0);
	return seen.failed;
}

#define COOKIE	0x5e55

struct data {
	void *ctx;
	__u64 half;
};

/* At entry the cookie counts who has been there, at return it has them all. */
static __always_inline int ask(void *ctx, __u64 half, __u64 before, __u64 all)
{
	__u64 *cookie = bpf_session_cookie(ctx);

	if (bpf_session_is_return(ctx) != half)
		return 1;
	if (half)
		return *cookie != COOKIE + all;
	if (*cookie != (before ? COOKIE + before : 0))
		return 1;
	*cookie = COOKIE + before + 1;
	return 0;
}

#define ALL	7

static __noinline int in_function(void *ctx, __u64 half)
{
	return ask(ctx, half, 0, ALL);
}

__noinline int in_global(void *ctx __arg_ctx, __u64 half)
{
	return ask(ctx, half, 1, ALL);
}

static int in_loop(__u32 index, void *arg)
{
	struct data *data = arg;
	__u64 half = data->half & 1;

	seen.asked[half].in_loop++;
	seen.asked[half].wrong += ask(data->ctx, half, 2 + index, ALL);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} two SEC(".maps");

static long in_each(void *map, __u32 *key, __u64 *value, struct data *data)
{
	__u64 half = data->half & 1;

	seen.asked[half].in_each++;
	seen.asked[half].wrong += ask(data->ctx, half, 5 + *key, ALL);
	return 0;
}

SEC("fsession/targets_args_8")
int kfuncs(void *ctx)
{
	/* The first one to ask must not be the program. */
	struct data data = { .ctx = ctx };

	for (data.half = 0; data.half < 2; data.half++)
		if (!in_function(ctx, data.half))
			break;
	if (data.half > 1)
		return 0;
	seen.asked[data.half & 1].in_function++;
	seen.asked[data.half & 1].in_global++;
	seen.asked[data.half & 1].wrong += in_global(ctx, data.half);
	bpf_loop(3, in_loop, &data, 0);
	bpf_for_each_map_elem(&two, in_each, &data, 0);
	return 0;
}

/* --- Private stacks -------------------------------------------------------- */

static __noinline void fill(volatile __u64 *words, int nr, __u64 seed)
{
	for (int i = 0; i < 32; i++)
		words[i] = seed + i;
}

static __noinline __u64 damage(volatile __u64 *words, int nr, __u64 seed)
{
	__u64 found = 0;

	for (int i = 0; i < 32; i++)
		found += words[i] != seed + i;
	return found;
}

static __always_inline int use_stack(void *ctx, int nr, bool is_return, bool call)
{
	volatile __u64 words[32];
	__u64 seed = bpf_get_prandom_u32();

	fill(words, nr, seed);
	/* Another program with a stack of its own, on this CPU. */
	if (call)
		call_traced();
	seen.private[nr][0] = (__u64)ctx - (__u64)words;
	__sync_fetch_and_add(&seen.private[nr][1 + is_return], 1);
	__sync_fetch_and_add(&seen.private[nr][3], damage(words, nr, seed));
	return 0;
}

SEC("fsession/targets_args_8")
int private_outer(void *ctx)
{
	return use_stack(ctx, 0, bpf_session_is_return(ctx), true);
}

SEC("fsession/htab_map_delete_elem")
int private_inner(void *ctx)
{
	return use_stack(ctx, 1, bpf_session_is_return(ctx), false);
}
