// SPDX-License-Identifier: GPL-2.0
/* LSM programs of a cgroup, and of all, on the same hooks. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

struct {
	__u64 runs[4];	/* the cgroup's bind and open, then those of all */
	__u64 strange;	/* addresses of another length */
	__u64 deny;	/* whether the cgroup may not bind */
} seen;

const volatile __u32 tgid SEC(".rodata.config");

static __always_inline bool ours(void)
{
	return bpf_get_current_pid_tgid() >> 32 == tgid;
}

SEC("lsm_cgroup/socket_bind")
int BPF_PROG(cgroup_bind, struct socket *sock, struct sockaddr *address, int addrlen)
{
	if (!ours())
		return 1;
	__sync_fetch_and_add(&seen.runs[0], 1);
	seen.strange += addrlen != sizeof(struct sockaddr_in);
	return !seen.deny;
}

SEC("lsm_cgroup/file_open")
int BPF_PROG(cgroup_open, struct file *file)
{
	if (ours())
		__sync_fetch_and_add(&seen.runs[1], 1);
	return 1;
}

SEC("lsm/socket_bind")
int BPF_PROG(all_bind, struct socket *sock, struct sockaddr *address, int addrlen, int ret)
{
	if (!ours())
		return ret;
	__sync_fetch_and_add(&seen.runs[2], 1);
	seen.strange += addrlen != sizeof(struct sockaddr_in);
	return ret;
}

SEC("lsm/file_open")
int BPF_PROG(all_open, struct file *file, int ret)
{
	if (ours())
		__sync_fetch_and_add(&seen.runs[3], 1);
	return ret;
}
