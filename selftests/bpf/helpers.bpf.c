// SPDX-License-Identifier: GPL-2.0
/*
 * Every helper that depends on the trampoline, in every kind of program and in
 * both halves of a session. The runner sets the targets.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "helpers.h"

char _license[] SEC("license") = "GPL";

/* Of one process only, so that nobody else's calls get between. */
const volatile __u32 tgid SEC(".rodata.config");

/* At entry and at return. */
struct helpers_seen seen[2];

enum kind { FENTRY, FEXIT, FMOD_RET, SESSION };

static __always_inline int look(void *ctx, enum kind kind)
{
	struct helpers_seen *s;
	bool is_return = kind == FEXIT;
	__u64 cnt;

	if (bpf_get_current_pid_tgid() >> 32 != tgid)
		return 0;
	if (kind == SESSION)
		is_return = bpf_session_is_return(ctx);
	s = &seen[is_return ? 1 : 0];

	s->runs++;
	s->is_return = is_return;
	cnt = bpf_get_func_arg_cnt(ctx);
	s->arg_cnt = cnt;
	bpf_get_func_arg(ctx, 0, &s->first_arg);
	bpf_get_func_arg(ctx, (__u32)cnt - 1, &s->last_arg);
	s->arg_past = bpf_get_func_arg(ctx, (__u32)cnt, &(__u64){});
	s->ret_result = bpf_get_func_ret(ctx, &s->ret);
	s->ip = bpf_get_func_ip(ctx);
	s->bpf_cookie = bpf_get_attach_cookie(ctx);
	/* It uses RCU, but in sleepable programs does not hold it. */
	bpf_rcu_read_lock();
	s->stack_len = bpf_get_stack(ctx, s->stack, sizeof(s->stack), 0);
	bpf_rcu_read_unlock();
	return 0;
}

#define LOOK(section, name, kind)					\
	SEC(section) int helpers_##name(void *ctx) { return look(ctx, kind); } \
	SEC(section ".s") int helpers_##name##_s(void *ctx) { return look(ctx, kind); }

LOOK("fentry", fentry, FENTRY)
LOOK("fexit", fexit, FEXIT)
LOOK("fmod_ret", fmod_ret, FMOD_RET)
LOOK("fsession", session, SESSION)
