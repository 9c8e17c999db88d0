// SPDX-License-Identifier: GPL-2.0
/*
 * Sessions that read their arguments and the return value straight from the
 * context, as programs outside of a test do, each on a function with another
 * number of arguments. BPF_PROG_TEST_RUN calls these functions.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define SAW_ENTRY	1
#define SAW_RETURN	2

/* By number of arguments: which halves saw what they should. */
__u32 seen[8];

/* The return value comes after the arguments and reads 0 at entry. */
static __always_inline int saw(void *ctx, int nr_args, bool args, int ret, int returned)
{
	bool is_return = bpf_session_is_return(ctx);

	if (args && ret == (is_return ? returned : 0))
		seen[nr_args] |= is_return ? SAW_RETURN : SAW_ENTRY;
	return 0;
}

SEC("fsession/bpf_fentry_test1")
int BPF_PROG(args_1, int a, int ret)
{
	return saw(ctx, 1, a == 1, ret, 2);
}

SEC("fsession/bpf_fentry_test2")
int BPF_PROG(args_2, int a, __u64 b, int ret)
{
	return saw(ctx, 2, a == 2 && b == 3, ret, 5);
}

SEC("fsession/bpf_fentry_test3")
int BPF_PROG(args_3, char a, int b, __u64 c, int ret)
{
	return saw(ctx, 3, a == 4 && b == 5 && c == 6, ret, 15);
}

SEC("fsession/bpf_fentry_test4")
int BPF_PROG(args_4, void *a, char b, int c, __u64 d, int ret)
{
	return saw(ctx, 4, a == (void *)7 && b == 8 && c == 9 && d == 10, ret, 34);
}

SEC("fsession/bpf_fentry_test5")
int BPF_PROG(args_5, __u64 a, void *b, short c, int d, __u64 e, int ret)
{
	return saw(ctx, 5, a == 11 && b == (void *)12 && c == 13 && d == 14 && e == 15,
		   ret, 65);
}

SEC("fsession/bpf_fentry_test6")
int BPF_PROG(args_6, __u64 a, void *b, short c, int d, void *e, __u64 f, int ret)
{
	return saw(ctx, 6, a == 16 && b == (void *)17 && c == 18 && d == 19 &&
		   e == (void *)20 && f == 21, ret, 111);
}
