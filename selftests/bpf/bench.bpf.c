// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that do as little as a program of their kind can: what is counted is what
 * leads to them.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define TRIVIAL(section, name)						\
	SEC(section)							\
	int name(void *ctx)						\
	{								\
		return 0;						\
	}

TRIVIAL("fentry/bpf_fentry_test1", fentry)
TRIVIAL("fexit/bpf_fentry_test1", fexit)
TRIVIAL("fmod_ret/bpf_fentry_test1", fmod_ret)
TRIVIAL("fsession/bpf_fentry_test1", session)
TRIVIAL("kprobe/bpf_fentry_test1", kprobe)
TRIVIAL("kretprobe/bpf_fentry_test1", kretprobe)
TRIVIAL("kprobe.multi/bpf_fentry_test1", kprobe_multi)
TRIVIAL("kretprobe.multi/bpf_fentry_test1", kretprobe_multi)
TRIVIAL("kprobe.session/bpf_fentry_test1", kprobe_session)

static __always_inline int use_cookie(void *ctx)
{
	volatile __u64 *cookie = bpf_session_cookie(ctx);

	if (bpf_session_is_return(ctx))
		*cookie;
	else
		*cookie = 1;
	return 0;
}

SEC("fsession/bpf_fentry_test1")
int with_cookie(void *ctx)
{
	return use_cookie(ctx);
}

SEC("kprobe.session/bpf_fentry_test1")
int kprobe_session_with_cookie(void *ctx)
{
	return use_cookie(ctx);
}

/* One kfunc each: inlined in one kind of program, called in the other. */
#define ONE_KFUNC(name, kfunc)						\
	SEC("fsession/bpf_fentry_test1")				\
	int session_##name(void *ctx)					\
	{								\
		kfunc(ctx);						\
		return 0;						\
	}								\
	SEC("kprobe.session/bpf_fentry_test1")				\
	int kprobe_session_##name(void *ctx)				\
	{								\
		kfunc(ctx);						\
		return 0;						\
	}

ONE_KFUNC(is_return, bpf_session_is_return)
ONE_KFUNC(cookie, bpf_session_cookie)
