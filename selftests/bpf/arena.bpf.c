// SPDX-License-Identifier: GPL-2.0
/* A program with an arena, which lends its arena to the builders. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
} arena SEC(".maps");

/* Sleepable, as who allocates has to be. It is never attached. */
SEC("fentry.s/__x64_sys_nanosleep")
int owner(void *ctx)
{
	/* A program has the arena that it names. */
	bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	return 0;
}
