// SPDX-License-Identifier: GPL-2.0
/*
 * The programs of the stress. Each entry leaves a mark in the session cookie,
 * which its return must find; and a task that enters once more has to have
 * returned before (none of the traced functions calls itself).
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "stress.h"

char _license[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STRESS_PLACES);
	__type(key, __u32);
	__type(value, struct stress_seen);
} seen SEC(".maps");

struct call {
	__u64 attachment;	/* the BPF cookie, which no two attachments share */
	__u64 task;
};

/* Calls that have entered and not returned. Those that never will are evicted. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct call);
	__type(value, __u64);
} open_calls SEC(".maps");

static __always_inline struct stress_seen *place(__u64 attachment)
{
	__u32 key = attachment & 0xffff;

	return bpf_map_lookup_elem(&seen, &key);
}

static __always_inline bool is_own(const struct stress_seen *seen)
{
	return seen->owner == bpf_get_current_pid_tgid() >> 32;
}

static __always_inline __u64 mark(__u64 attachment)
{
	return ~(attachment << 32 | (__u32)bpf_get_current_pid_tgid());
}

static __always_inline void read_user(const struct stress_seen *seen, bool sleepable)
{
	__u64 value;

	if (sleepable && seen->user_addr && is_own(seen))
		bpf_copy_from_user(&value, sizeof(value), (void *)seen->user_addr);
}

static __always_inline int at_entry(struct stress_seen *seen, bool sleepable)
{
	__sync_fetch_and_add(&seen->entries, 1);
	if (is_own(seen))
		__sync_fetch_and_add(&seen->own_entries, 1);
	read_user(seen, sleepable);
	return 0;
}

static __always_inline int at_return(struct stress_seen *seen)
{
	__sync_fetch_and_add(&seen->returns, 1);
	if (is_own(seen))
		__sync_fetch_and_add(&seen->own_returns, 1);
	return 0;
}

static __always_inline int counted(void *ctx, bool is_return, bool sleepable)
{
	struct stress_seen *seen = place(bpf_get_attach_cookie(ctx));

	if (!seen)
		return 0;
	if (!is_return)
		return at_entry(seen, sleepable);
	read_user(seen, sleepable);
	return at_return(seen);
}

static __always_inline void pair(struct stress_seen *seen, __u64 attachment, bool is_return)
{
	struct call call = { attachment, (__u32)bpf_get_current_pid_tgid() };
	__u64 one = 1;

	/* The idle tasks are all number 0. */
	if (!call.task)
		return;
	if (is_return)
		bpf_map_delete_elem(&open_calls, &call);
	else if (bpf_map_update_elem(&open_calls, &call, &one, BPF_NOEXIST) == -17)
		__sync_fetch_and_add(&seen->lost, 1);
}

static __always_inline int in_session(void *ctx, bool sleepable)
{
	__u64 attachment = bpf_get_attach_cookie(ctx);
	struct stress_seen *seen = place(attachment);
	bool is_return = bpf_session_is_return(ctx);

	if (!seen)
		return 0;
	pair(seen, attachment, is_return);
	return is_return ? at_return(seen) : at_entry(seen, sleepable);
}

static __always_inline int check_cookie(void *ctx, bool sleepable)
{
	__u64 attachment = bpf_get_attach_cookie(ctx), *cookie = bpf_session_cookie(ctx);
	struct stress_seen *seen = place(attachment);

	if (!seen)
		return 0;
	if (!bpf_session_is_return(ctx)) {
		if (*cookie)
			__sync_fetch_and_add(&seen->wrong, 1);
		*cookie = mark(attachment);
	} else if (!*cookie) {
		__sync_fetch_and_add(&seen->alone, 1);
	} else if (*cookie != mark(attachment)) {
		__sync_fetch_and_add(&seen->wrong, 1);
	}
	return in_session(ctx, sleepable);
}

#define EACH(suffix, section, sleepable)				\
	SEC("fentry" section "/bpf_fentry_test1")			\
	int fentry##suffix(void *ctx) { return counted(ctx, false, sleepable); } \
									\
	SEC("fexit" section "/bpf_fentry_test1")			\
	int fexit##suffix(void *ctx) { return counted(ctx, true, sleepable); } \
									\
	SEC("fsession" section "/bpf_fentry_test1")			\
	int session##suffix(void *ctx) { return in_session(ctx, sleepable); } \
									\
	SEC("fsession" section "/bpf_fentry_test1")			\
	int with_cookie##suffix(void *ctx) { return check_cookie(ctx, sleepable); }

EACH(, "", false)
EACH(_sleepable, ".s", true)

/* On the way of everybody in a cgroup; 1 lets them pass. */
SEC("lsm_cgroup/socket_create")
int lsm_cgroup(void *ctx)
{
	struct stress_seen *seen = place(STRESS_PLACES - 1);

	if (seen)
		__sync_fetch_and_add(&seen->entries, 1);
	return 1;
}

/* Not a session of a trampoline: its kfuncs stay calls. */
SEC("kprobe.session/bpf_fentry_test1")
int kprobe_session(void *ctx)
{
	__u64 *cookie = bpf_session_cookie(ctx);

	if (!bpf_session_is_return(ctx))
		*cookie = mark(bpf_get_attach_cookie(ctx));
	return counted(ctx, bpf_session_is_return(ctx), false);
}
