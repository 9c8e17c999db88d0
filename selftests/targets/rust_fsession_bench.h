/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the benchmark's module and the command `bench` tell each other. The mirror in
 * Rust is runner/src/bench/module.rs.
 *
 * Costs are ticks of the TSC, which under QEMU's -icount are instructions: the least
 * of BENCH_RUNS runs, without what reading the TSC takes.
 */
#ifndef _RUST_FSESSION_BENCH_H
#define _RUST_FSESSION_BENCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BENCH_RUNS	25
#define BENCH_WARM_UPS	5
#define BENCH_MAX_PROGS	38

/* Costs of building one image, with these programs on the function of the first one. */
struct bench_build {
	__s32 progs[BENCH_MAX_PROGS];
	__u32 nr_progs;
	__u32 bytes;		/* of the image */
	__u32 flags;		/* BPF_TRAMP_F_* */
	__u64 size;		/* arch_bpf_trampoline_size() */
	__u64 build;		/* arch_prepare_bpf_trampoline() */
	__u64 place;		/* arch_alloc_bpf_trampoline(), and freeing it */
	__u64 copy;		/* bpf_arch_text_copy() of the image */
	__u64 scratch;		/* kvmalloc() of the image, and freeing it */
	__u64 page;		/* a page beside code, and freeing it */
};

/*
 * Cost of one call of bpf_fentry_test1(), with interrupts off; or of so many, with
 * interrupts on, where it is time that counts.
 */
struct bench_call {
	__u64 calls;
	__u64 cost;
};

/* Costs of what an image calls for one program, without call and return. */
struct bench_parts {
	__s32 prog;
	__u32 pad;
	__u64 enter;		/* __bpf_prog_enter_recur() */
	__u64 run;		/* the program */
	__u64 run_return;	/* the second half of a session */
	__u64 exit;		/* __bpf_prog_exit_recur() */
	__u64 tramp_enter;	/* __bpf_tramp_enter() */
	__u64 tramp_exit;	/* __bpf_tramp_exit() */
};

/* Cost of a loop of so many instructions, to learn what a tick is. */
struct bench_loop {
	__u64 instructions;
	__u64 cost;
};

#define BENCH_IOC_BUILD	_IOWR(0xbf, 0x30, struct bench_build)
#define BENCH_IOC_CALL	_IOWR(0xbf, 0x31, struct bench_call)
#define BENCH_IOC_PARTS	_IOWR(0xbf, 0x32, struct bench_parts)
#define BENCH_IOC_LOOP	_IOWR(0xbf, 0x33, struct bench_loop)

#endif /* _RUST_FSESSION_BENCH_H */
