/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the probe programs and the runner tell each other. The mirror in Rust
 * is runner/src/probe.rs; both sides refuse records of another size.
 */
#ifndef _SELFTESTS_PROBE_H
#define _SELFTESTS_PROBE_H

/* Argument registers a trampoline can save, MAX_BPF_FUNC_ARGS of the kernel. */
#define PROBE_MAX_ARGS	12

/* Which half of a session, or which kind of program, a record comes from. */
enum probe_phase {
	PROBE_ENTRY	= 0,
	PROBE_RETURN	= 1,
};

/* Set before the program is loaded: what is 0 here is not in the program. */
struct probe_config {
	__u32 id;		/* says in every record which program wrote it */
	__u32 tgid;		/* look at this process only, 0: at all */
	__u32 use_cookie;	/* keep a value in a session cookie */
	__u32 use_ip;		/* call bpf_get_func_ip() */
	__u32 quiet;		/* count only, no records */
	__s32 modify_return;	/* what an fmod_ret program returns */
	__u64 user_addr;	/* sleepable programs read 8 bytes here */
};

/* How often each half ran. */
struct probe_hits {
	__u64 entry;
	__u64 ret;
	__u64 lost;		/* records that found the ring buffer full */
};

struct probe_event {
	__u32 id;
	__u32 phase;
	__u32 tid;
	__u32 nr_args;
	__u64 ret;		/* bpf_get_func_ret() */
	__u64 cookie;		/* the session cookie as the program found it */
	__u64 bpf_cookie;	/* bpf_get_attach_cookie() */
	__u64 ip;		/* bpf_get_func_ip() */
	__u64 user;		/* the 8 bytes at user_addr */
	__u64 args[PROBE_MAX_ARGS];
};

#endif /* _SELFTESTS_PROBE_H */
