// SPDX-License-Identifier: GPL-2.0
/*
 * What `fsession demo` shows: sessions that keep the time of entry in their
 * cookie and find it again at return.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "demo.h"

char _license[] SEC("license") = "GPL";

/* The thread that is looked at. */
const volatile __u32 traced_tid SEC(".rodata.tid");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

static __always_inline int session(void *ctx, enum demo_function function,
				   struct file *file, __u64 amount, __s64 ret)
{
	__u64 now = bpf_ktime_get_ns(), *cookie = bpf_session_cookie(ctx);
	bool is_return = bpf_session_is_return(ctx);
	struct demo_event *event;

	if ((__u32)bpf_get_current_pid_tgid() != traced_tid)
		return 0;
	if (!is_return)
		*cookie = now;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	event->function = function;
	event->is_return = is_return;
	event->amount = amount;
	event->ret = ret;
	event->duration = now - *cookie;
	event->file[0] = '\0';
	if (file)
		bpf_probe_read_kernel_str(event->file, sizeof(event->file),
					  file->f_path.dentry->d_name.name);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("fsession/vfs_write")
int BPF_PROG(on_write, struct file *file, const char *buf, size_t count, loff_t *pos, ssize_t ret)
{
	return session(ctx, DEMO_WRITE, file, count, ret);
}

SEC("fsession/vfs_read")
int BPF_PROG(on_read, struct file *file, char *buf, size_t count, loff_t *pos, ssize_t ret)
{
	return session(ctx, DEMO_READ, file, count, ret);
}

SEC("fsession/hrtimer_nanosleep")
int BPF_PROG(on_sleep, ktime_t rqtp, enum hrtimer_mode mode, clockid_t clockid, long ret)
{
	return session(ctx, DEMO_SLEEP, NULL, rqtp, ret);
}
