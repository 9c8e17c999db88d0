/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs of helpers.bpf.c saw. The mirror is tests/helpers.rs. */
#ifndef _SELFTESTS_HELPERS_H
#define _SELFTESTS_HELPERS_H

#define HELPERS_STACK	24

struct helpers_seen {
	__u64 runs;
	__u64 arg_cnt;
	__u64 first_arg;
	__u64 last_arg;
	__s64 arg_past;		/* bpf_get_func_arg() of one argument too many */
	__u64 ret;
	__s64 ret_result;	/* what bpf_get_func_ret() returned */
	__u64 ip;
	__u64 bpf_cookie;
	__u64 is_return;	/* bpf_session_is_return() */
	__s64 stack_len;	/* bytes, or what bpf_get_stack() returned */
	__u64 stack[HELPERS_STACK];
};

#endif /* _SELFTESTS_HELPERS_H */
