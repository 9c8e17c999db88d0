// SPDX-License-Identifier: GPL-2.0
/*
 * One program of each kind that has a trampoline, for any target: the runner
 * picks one program, sets its target and its configuration and loads it. What
 * the configuration leaves out, the verifier removes, so that the same source
 * gives sessions with and without a cookie.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "probe.h"

char _license[] SEC("license") = "GPL";

const volatile struct probe_config cfg SEC(".rodata.config");

struct probe_hits hits;

/* Shared by the probes of one test, so that their order can be seen. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

enum kind { FENTRY, FEXIT, FMOD_RET, SESSION };

/* A value that tells which program and which call left it. */
static __always_inline __u64 cookie_value(__u64 arg)
{
	return 0xc00c1e0000000000 | (__u64)cfg.id << 16 | (arg & 0xffff);
}

static __always_inline __u64 use_cookie(void *ctx, bool is_return, __u64 arg)
{
	__u64 *cookie, found;

	if (!cfg.use_cookie)
		return 0;
	cookie = bpf_session_cookie(ctx);
	found = *cookie;
	if (!is_return)
		*cookie = cookie_value(arg);
	return found;
}

static __always_inline int probe(void *ctx, enum kind kind, bool sleepable)
{
	__u64 args[PROBE_MAX_ARGS] = {};
	bool is_return = kind == FEXIT;
	struct probe_event *event;
	__u64 cookie = 0, user = 0;
	__u64 pid_tgid;

	pid_tgid = bpf_get_current_pid_tgid();
	if (cfg.tgid && cfg.tgid != pid_tgid >> 32)
		return 0;

	/* Past the last argument the helper fails and leaves the 0. */
	for (int i = 0; i < PROBE_MAX_ARGS; i++)
		if (bpf_get_func_arg(ctx, i, &args[i]))
			args[i] = 0;

	if (kind == SESSION) {
		is_return = bpf_session_is_return(ctx);
		cookie = use_cookie(ctx, is_return, args[0]);
	}
	__sync_fetch_and_add(is_return ? &hits.ret : &hits.entry, 1);

	if (sleepable && cfg.user_addr)
		bpf_copy_from_user(&user, sizeof(user), (void *)cfg.user_addr);
	if (cfg.quiet)
		return 0;

	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&hits.lost, 1);
		return 0;
	}
	event->id = cfg.id;
	event->phase = is_return ? PROBE_RETURN : PROBE_ENTRY;
	event->tid = pid_tgid;
	event->nr_args = bpf_get_func_arg_cnt(ctx);
	event->ret = 0;
	if (kind != FENTRY)
		bpf_get_func_ret(ctx, &event->ret);
	event->cookie = cookie;
	event->bpf_cookie = bpf_get_attach_cookie(ctx);
	event->ip = cfg.use_ip ? bpf_get_func_ip(ctx) : 0;
	event->user = user;
	__builtin_memcpy(event->args, args, sizeof(args));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("fentry")
int probe_fentry(void *ctx)
{
	return probe(ctx, FENTRY, false);
}

SEC("fexit")
int probe_fexit(void *ctx)
{
	return probe(ctx, FEXIT, false);
}

SEC("fmod_ret")
int probe_fmod_ret(void *ctx)
{
	probe(ctx, FMOD_RET, false);
	return cfg.modify_return;
}

SEC("fsession")
int probe_session(void *ctx)
{
	return probe(ctx, SESSION, false);
}

SEC("fentry.s")
int probe_fentry_sleepable(void *ctx)
{
	return probe(ctx, FENTRY, true);
}

SEC("fexit.s")
int probe_fexit_sleepable(void *ctx)
{
	return probe(ctx, FEXIT, true);
}

SEC("fmod_ret.s")
int probe_fmod_ret_sleepable(void *ctx)
{
	probe(ctx, FMOD_RET, true);
	return cfg.modify_return;
}

SEC("fsession.s")
int probe_session_sleepable(void *ctx)
{
	return probe(ctx, SESSION, true);
}
