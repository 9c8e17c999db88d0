// SPDX-License-Identifier: GPL-2.0
/* Programs that end by an exception: nothing behind it runs. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct {
	__u64 runs[2];	/* by half */
	__u64 beyond;	/* what ran behind an exception */
} seen;

/* From how deep it is thrown: 0: nowhere, 1: the program, 2: a function of it. */
const volatile __u32 depth SEC(".rodata.config");

/* Values in many registers, which the exception has to bring back. */
static __noinline __u64 thrower(__u64 a, __u64 b, __u64 c)
{
	volatile __u64 sum = a * 3 + b * 5 + c * 7;

	if (depth == 2)
		bpf_throw(0);
	seen.beyond++;
	return sum;
}

static __always_inline int throws(void *ctx, bool is_return)
{
	__u64 a = 0, b = 0, sum;

	seen.runs[is_return]++;
	bpf_get_func_arg(ctx, 0, &a);
	bpf_get_func_arg(ctx, 1, &b);
	if (depth == 1)
		bpf_throw(0);
	sum = thrower(a, b, a + b);
	seen.beyond += sum & 1;
	return 0;
}

SEC("fentry")
int throw_fentry(void *ctx)
{
	return throws(ctx, false);
}

SEC("fexit")
int throw_fexit(void *ctx)
{
	return throws(ctx, true);
}

SEC("fsession")
int throw_session(void *ctx)
{
	__u64 *cookie = bpf_session_cookie(ctx);
	bool is_return = bpf_session_is_return(ctx);

	/* The cookie is in the image's frame and outlives the exception. */
	if (is_return && *cookie != 0x5e55)
		seen.beyond++;
	*cookie = 0x5e55;
	return throws(ctx, is_return);
}

/* What is thrown is the program's answer. */
SEC("fmod_ret")
int throw_fmod_ret(void *ctx)
{
	seen.runs[0]++;
	bpf_throw(-77);
	seen.beyond++;
	return 0;
}
