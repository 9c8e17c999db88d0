// SPDX-License-Identifier: GPL-2.0
/*
 * What a call of a traced function costs, and the pieces of it, with interrupts off.
 */
#include <linux/percpu-refcount.h>

#include "bench.h"

/* Those of one kind of program. */
DEFINE_STATIC_CALL_NULL(call_prog_enter, *(bpf_trampoline_enter_t)NULL);
DEFINE_STATIC_CALL_NULL(call_prog_exit, *(bpf_trampoline_exit_t)NULL);

int bpf_fentry_test1(int a);

static void call_often(u64 calls)
{
	while (calls--)
		bpf_fentry_test1(1);
}

int bench_call(struct bench_call *request)
{
	unsigned long flags;

	if (request->calls > 1000000)
		return -EINVAL;
	if (request->calls) {
		request->cost = COST(cond_resched(), call_often(request->calls));
		return 0;
	}
	local_irq_save(flags);
	request->cost = COST((void)0, bpf_fentry_test1(1)) - cost_of_nothing();
	local_irq_restore(flags);
	return 0;
}

/* What is called for one program, all by the same instructions whatever it is. */
struct calls {
	bpf_trampoline_enter_t enter;
	bpf_trampoline_exit_t exit;
	bpf_func_t run;
	void (*tramp_enter)(struct bpf_tramp_image *im);
	void (*tramp_exit)(struct bpf_tramp_image *im);
};

static notrace u64 no_enter(struct bpf_prog *prog, struct bpf_tramp_run_ctx *ctx)
{
	return 0;
}

static notrace void no_exit(struct bpf_prog *prog, u64 start, struct bpf_tramp_run_ctx *ctx)
{
}

static notrace unsigned int no_run(const void *ctx, const struct bpf_insn *insn)
{
	return 0;
}

static notrace void no_tramp(struct bpf_tramp_image *im)
{
}

static void released(struct percpu_ref *ref)
{
}

static noinline void cost_calls(const struct calls *calls, struct bpf_prog *prog,
					struct bpf_tramp_image *im, struct bench_parts *parts)
{
	/* Arguments as an image keeps them: their number and which half it is come first. */
	u64 entry[] = { 0, 1, 1, 0 }, ret[] = { 0, 1 | 1ULL << BPF_TRAMP_IS_RETURN_SHIFT, 1, 0 };
	struct bpf_tramp_run_ctx ctx = {};

	static_call_update(call_prog_enter, calls->enter);
	static_call_update(call_prog_exit, calls->exit);
	static_call_update(call___bpf_tramp_enter, calls->tramp_enter);
	static_call_update(call___bpf_tramp_exit, calls->tramp_exit);
	local_irq_disable();
	parts->tramp_enter = COST((void)0, CALL(__bpf_tramp_enter)(im));
	parts->tramp_exit = COST((void)0, CALL(__bpf_tramp_exit)(im));
	parts->enter = U64_MAX;
	parts->run = U64_MAX;
	parts->run_return = U64_MAX;
	parts->exit = U64_MAX;
	for (int run = 0; run < BENCH_RUNS; run++) {
		u64 at[5], start;

		at[0] = rdtsc_ordered();
		start = CALL(prog_enter)(prog, &ctx);
		at[1] = rdtsc_ordered();
		calls->run(&entry[2], prog->insnsi);
		at[2] = rdtsc_ordered();
		calls->run(&ret[2], prog->insnsi);
		at[3] = rdtsc_ordered();
		CALL(prog_exit)(prog, start, &ctx);
		at[4] = rdtsc_ordered();
		parts->enter = min(parts->enter, at[1] - at[0]);
		parts->run = min(parts->run, at[2] - at[1]);
		parts->run_return = min(parts->run_return, at[3] - at[2]);
		parts->exit = min(parts->exit, at[4] - at[3]);
	}
	local_irq_enable();
}

int bench_parts(struct bench_parts *request)
{
	struct bpf_prog *prog = bpf_prog_get_type_dev(request->prog, BPF_PROG_TYPE_TRACING, false);
	const struct calls none = { no_enter, no_exit, no_run, no_tramp, no_tramp };
	struct bench_parts nothing = {};
	struct bpf_tramp_image im = {};
	struct calls calls;
	int ret;

	if (IS_ERR(prog))
		return PTR_ERR(prog);
	ret = percpu_ref_init(&im.pcref, released, 0, GFP_KERNEL);
	if (ret)
		goto out;
	calls.enter = CALL(bpf_trampoline_enter)(prog);
	calls.exit = CALL(bpf_trampoline_exit)(prog);
	calls.run = prog->bpf_func;
	calls.tramp_enter = (void *)CALL(kallsyms_lookup_name)("__bpf_tramp_enter");
	calls.tramp_exit = (void *)CALL(kallsyms_lookup_name)("__bpf_tramp_exit");
	cost_calls(&none, prog, &im, &nothing);
	cost_calls(&calls, prog, &im, request);
	request->enter -= nothing.enter;
	request->run -= nothing.run;
	request->run_return -= nothing.run_return;
	request->exit -= nothing.exit;
	request->tramp_enter -= nothing.tramp_enter;
	request->tramp_exit -= nothing.tramp_exit;
	percpu_ref_exit(&im.pcref);
out:
	bpf_prog_put(prog);
	return ret;
}

/* Two instructions a round. */
int bench_loop(struct bench_loop *request)
{
	u64 rounds = request->instructions / 2;

	if (!rounds || rounds > 1000000)
		return -EINVAL;
	request->cost = COST((void)0, ({
		u64 left = rounds;

		asm volatile("1: dec %0; jnz 1b" : "+r" (left) : : "cc");
	})) - cost_of_nothing();
	return 0;
}
