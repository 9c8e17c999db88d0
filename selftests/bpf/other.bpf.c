// SPDX-License-Identifier: GPL-2.0
/* Programs that have no trampoline, to be refused. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("socket")
int no_socket_filter(void *ctx)
{
	return 0;
}

SEC("kprobe")
int no_kprobe(void *ctx)
{
	return 0;
}

/* A tracing program by type, but one that is called by a tracepoint. */
SEC("tp_btf/sched_switch")
int no_tracepoint(void *ctx)
{
	return 0;
}
