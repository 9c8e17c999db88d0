// SPDX-License-Identifier: GPL-2.0
/*
 * Sessions on what a kernel does last before another one takes its place. With
 * tp_printk on its command line, what they print is on the console.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

/* What an entry leaves for its return. */
#define COOKIE	0x1a57

SEC("fsession/device_shutdown")
int by_device(void *ctx)
{
	__u64 *cookie = bpf_session_cookie(ctx);

	if (!bpf_session_is_return(ctx))
		*cookie = COOKIE + 1;
	else if (*cookie == COOKIE + 1)
		bpf_printk("kexec: device_shutdown() has returned");
	return 0;
}

SEC("fsession/machine_shutdown")
int by_link(void *ctx)
{
	__u64 *cookie = bpf_session_cookie(ctx);

	if (!bpf_session_is_return(ctx))
		*cookie = COOKIE + 2;
	else if (*cookie == COOKIE + 2)
		bpf_printk("kexec: machine_shutdown() has returned");
	return 0;
}
