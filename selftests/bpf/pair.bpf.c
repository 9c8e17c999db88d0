// SPDX-License-Identifier: GPL-2.0
/* A session that follows an argument to a structure of another module's BTF. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

struct targets_16 {
	__u64 first;
	__u64 second;
} __attribute__((preserve_access_index));

/* By half: what it points to, the other argument, the return value. */
__u64 seen[2][4];

SEC("fsession/targets_pair")
int BPF_PROG(pair, const struct targets_16 *pair, __u64 a, __u64 ret)
{
	__u64 *found = seen[bpf_session_is_return(ctx) ? 1 : 0];

	found[0] = pair->first;
	found[1] = pair->second;
	found[2] = a;
	found[3] = ret;
	return 0;
}
