// SPDX-License-Identifier: GPL-2.0

/*
 * A program of each kind, to look at the images: alone and together, with and
 * without a session cookie, on functions with arguments in registers and on the
 * stack. They do next to nothing.
 */

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

u64 calls;

SEC("fentry/bpf_fentry_test1")
int kinds_fentry(void *ctx)
{
	calls++;
	return 0;
}

SEC("fexit/bpf_fentry_test2")
int kinds_fexit(void *ctx)
{
	calls++;
	return 0;
}

SEC("fentry/bpf_fentry_test3")
int kinds_before(void *ctx)
{
	calls++;
	return 0;
}

SEC("fexit/bpf_fentry_test3")
int kinds_after(void *ctx)
{
	calls++;
	return 0;
}

SEC("fsession/bpf_fentry_test4")
int kinds_session(void *ctx)
{
	calls += bpf_session_is_return(ctx);
	return 0;
}

SEC("fsession/bpf_fentry_test5")
int kinds_cookie(void *ctx)
{
	u64 *cookie = bpf_session_cookie(ctx);

	if (bpf_session_is_return(ctx))
		calls += *cookie;
	else
		*cookie = 1;
	return 0;
}

SEC("fsession/bpf_fentry_test6")
int kinds_first(void *ctx)
{
	*bpf_session_cookie(ctx) += 1;
	return 0;
}

SEC("fsession/bpf_fentry_test6")
int kinds_second(void *ctx)
{
	*bpf_session_cookie(ctx) += 2;
	return 0;
}

SEC("fmod_ret/bpf_modify_return_test")
int kinds_fmod_ret(void *ctx)
{
	calls++;
	return 0;
}

SEC("fsession/bpf_modify_return_test")
int kinds_with_fmod_ret(void *ctx)
{
	*bpf_session_cookie(ctx) += 1;
	return 0;
}

SEC("fsession/targets_args_8")
int kinds_on_stack(void *ctx)
{
	*bpf_session_cookie(ctx) += 1;
	return 0;
}
