// SPDX-License-Identifier: GPL-2.0
/* Programs that the verifier must not let pass; the names say why. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

#define IS_RETURN(section, name)					\
	SEC(section)							\
	int is_return_##name(void *ctx) { return bpf_session_is_return(ctx) & 0; }

#define COOKIE(section, name)						\
	SEC(section)							\
	int cookie_##name(void *ctx) { return *bpf_session_cookie(ctx) & 0; }

#define BOTH(section, name) IS_RETURN(section, name) COOKIE(section, name)

BOTH("fentry/bpf_fentry_test1", fentry)
BOTH("fexit/bpf_fentry_test1", fexit)
BOTH("fmod_ret/bpf_modify_return_test", fmod_ret)
BOTH("tp_btf/sched_switch", tp_btf)
BOTH("kprobe", kprobe)
BOTH("tc", tc)

/* Loaded for targets that the runner sets. */
SEC("fentry")
int plain_fentry(void *ctx) { return 0; }

SEC("fexit")
int plain_fexit(void *ctx) { return 0; }

SEC("fmod_ret")
int plain_fmod_ret(void *ctx) { return 0; }

SEC("fsession")
int plain_session(void *ctx) { return 0; }

SEC("fsession.s")
int plain_session_s(void *ctx) { return 0; }

SEC("fsession/bpf_fentry_test1")
int returns_1(void *ctx)
{
	return 1;
}

SEC("fsession/bpf_fentry_test1")
int cookie_past_end(void *ctx)
{
	volatile __u64 *cookie = bpf_session_cookie(ctx);

	(void)cookie[1];
	return 0;
}

SEC("fsession/bpf_fentry_test1")
int argument_past_end(volatile __u64 *ctx)
{
	/* One argument, then the return value. */
	(void)ctx[2];
	return 0;
}

SEC("fsession/bpf_fentry_test1")
int writes_argument(__u64 *ctx)
{
	ctx[0] = 0;
	return 0;
}

SEC("fsession/bpf_fentry_test1")
int wrong_context(void *ctx)
{
	__u64 not_ctx = 0;

	return bpf_session_is_return(&not_ctx) & 0;
}
