// SPDX-License-Identifier: GPL-2.0
/* Programs without anything that only the JIT compiler knows. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/* Runs, and the sum of all arguments. */
__u64 seen[2];

static __always_inline int count(__u64 *args)
{
	seen[0]++;
	for (int i = 0; i < 8; i++)
		seen[1] += args[i];
	return 0;
}

SEC("fentry")
int count_fentry(__u64 *ctx)
{
	return count(ctx);
}

SEC("fexit")
int count_fexit(__u64 *ctx)
{
	return count(ctx);
}
