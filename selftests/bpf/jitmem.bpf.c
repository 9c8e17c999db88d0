// SPDX-License-Identifier: GPL-2.0
/* Reads how much memory is charged for jited code, trampolines included. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

extern const void bpf_jit_current __ksym;

__s64 charged;

SEC("syscall")
int read_charged(void *ctx)
{
	return bpf_probe_read_kernel(&charged, sizeof(charged), &bpf_jit_current);
}
