/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How costs are taken, and the functions of the kernel that are asked for them.
 */
#ifndef _BENCH_H
#define _BENCH_H

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/execmem.h>
#include <linux/filter.h>
#include <linux/kallsyms.h>
#include <linux/static_call.h>
#include <asm/msr.h>

#include "../rust_fsession_bench.h"

/*
 * Each function that is not exported is reached by a static call: a direct one, to the
 * function's start, so that whoever hooks it there is met.
 */
#define FUNCTIONS(f)				\
	f(arch_bpf_trampoline_size)		\
	f(arch_prepare_bpf_trampoline)		\
	f(arch_alloc_bpf_trampoline)		\
	f(arch_free_bpf_trampoline)		\
	f(bpf_arch_text_copy)			\
	f(execmem_alloc)			\
	f(execmem_free)				\
	f(bpf_trampoline_enter)			\
	f(bpf_trampoline_exit)			\
	f(btf_distill_func_proto)		\
	f(__bpf_tramp_enter)			\
	f(__bpf_tramp_exit)

#define DECLARE(name)	DECLARE_STATIC_CALL(call_##name, name);
FUNCTIONS(DECLARE)
DECLARE(kallsyms_lookup_name)

#define CALL(name)	static_call(call_##name)

/* The least cost of `what` in all runs, `before` each of which something is done. */
#define COST(before, what)					\
({								\
	u64 least = U64_MAX;					\
								\
	for (int run = 0; run < BENCH_WARM_UPS + BENCH_RUNS; run++) { \
		u64 begin, end;					\
								\
		before;						\
		barrier();					\
		begin = rdtsc_ordered();			\
		barrier();					\
		what;						\
		barrier();					\
		end = rdtsc_ordered();				\
		if (run >= BENCH_WARM_UPS)			\
			least = min(least, end - begin);	\
	}							\
	least;							\
})

/* What reading the TSC takes. */
static inline u64 cost_of_nothing(void)
{
	return COST((void)0, (void)0);
}

int bench_build(struct bench_build *request);
int bench_call(struct bench_call *request);
int bench_parts(struct bench_parts *request);
int bench_loop(struct bench_loop *request);

#endif /* _BENCH_H */
