// SPDX-License-Identifier: GPL-2.0
/*
 * Counts what trampolines cost: building an image by the kernel's own entry points,
 * whoever answers there, calling a traced function, and the pieces of both.
 *
 * The entry points allocate and take mutexes, so they run with interrupts on; an
 * interrupt that falls into a run is in that run only, and the least of all runs is
 * taken. Calls and their pieces run with interrupts off.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/execmem.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <asm/msr.h>

#include "rust_fsession_bench.h"

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
	f(bpf_jit_alloc_exec)			\
	f(bpf_jit_free_exec)			\
	f(bpf_trampoline_enter)			\
	f(bpf_trampoline_exit)			\
	f(btf_distill_func_proto)		\
	f(__bpf_tramp_enter)			\
	f(__bpf_tramp_exit)

#define DEFINE(name)	DEFINE_STATIC_CALL_NULL(call_##name, name);
FUNCTIONS(DEFINE)
DEFINE(kallsyms_lookup_name)
/* Those of one kind of program. */
DEFINE_STATIC_CALL_NULL(call_prog_enter, *(bpf_trampoline_enter_t)NULL);
DEFINE_STATIC_CALL_NULL(call_prog_exit, *(bpf_trampoline_exit_t)NULL);

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
static u64 cost_of_nothing(void)
{
	return COST((void)0, (void)0);
}

/* --- Building --------------------------------------------------------------- */

/* What bpf_trampoline_update() has of a trampoline. */
struct plan {
	struct bpf_prog *progs[BENCH_MAX_PROGS];
	struct bpf_link links[BENCH_MAX_PROGS];
	struct bpf_tramp_node node[BENCH_MAX_PROGS];
	struct bpf_tramp_nodes nodes[BPF_TRAMP_MAX];
	struct btf_func_model model;
	struct bpf_tramp_image im;
	struct bpf_tramp_skip skips[2 * BENCH_MAX_PROGS];
	void *func;
	u32 flags;
	u32 nr_progs;
};

static void put_plan(struct plan *plan)
{
	for (u32 i = 0; i < plan->nr_progs; i++)
		bpf_prog_put(plan->progs[i]);
	kvfree(plan);
}

static void list_prog(struct plan *plan, enum bpf_tramp_prog_type kind, u32 i)
{
	struct bpf_tramp_nodes *list = &plan->nodes[kind];

	list->nodes[list->nr_nodes++] = &plan->node[i];
}

static int add_prog(struct plan *plan, struct bpf_prog *prog)
{
	u32 i = plan->nr_progs++;

	plan->progs[i] = prog;
	plan->links[i].prog = prog;
	plan->node[i].link = &plan->links[i];
	switch (prog->expected_attach_type) {
	case BPF_TRACE_FENTRY:
		list_prog(plan, BPF_TRAMP_FENTRY, i);
		return 0;
	case BPF_TRACE_FEXIT:
		list_prog(plan, BPF_TRAMP_FEXIT, i);
		return 0;
	case BPF_MODIFY_RETURN:
		list_prog(plan, BPF_TRAMP_MODIFY_RETURN, i);
		return 0;
	case BPF_TRACE_FSESSION:
		list_prog(plan, BPF_TRAMP_FENTRY, i);
		list_prog(plan, BPF_TRAMP_FEXIT, i);
		return 0;
	default:
		return -EINVAL;
	}
}

static int find_target(struct plan *plan)
{
	const struct bpf_prog_aux *aux = plan->progs[0]->aux;

	plan->func = (void *)CALL(kallsyms_lookup_name)(aux->attach_func_name);
	if (!plan->func)
		return -ENOENT;
	return CALL(btf_distill_func_proto)(NULL, aux->attach_btf, aux->attach_func_proto,
					    aux->attach_func_name, &plan->model);
}

/* As bpf_trampoline_update() sets them. */
static void set_flags(struct plan *plan)
{
	if (plan->nodes[BPF_TRAMP_FEXIT].nr_nodes ||
	    plan->nodes[BPF_TRAMP_MODIFY_RETURN].nr_nodes) {
		plan->flags = BPF_TRAMP_F_CALL_ORIG;
		if (!IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_JMP))
			plan->flags |= BPF_TRAMP_F_SKIP_FRAME;
	} else {
		plan->flags = BPF_TRAMP_F_RESTORE_REGS;
	}
	for (u32 i = 0; i < plan->nr_progs; i++)
		if (plan->progs[i]->call_get_func_ip)
			plan->flags |= BPF_TRAMP_F_IP_ARG;
}

static struct plan *get_plan(const struct bench_build *request)
{
	struct plan *plan;
	int err = 0;

	if (!request->nr_progs || request->nr_progs > BENCH_MAX_PROGS)
		return ERR_PTR(-EINVAL);
	plan = kvzalloc(sizeof(*plan), GFP_KERNEL);
	if (!plan)
		return ERR_PTR(-ENOMEM);
	for (u32 i = 0; i < request->nr_progs && !err; i++) {
		struct bpf_prog *prog = bpf_prog_get_type_dev(request->progs[i],
							      BPF_PROG_TYPE_TRACING, false);

		err = IS_ERR(prog) ? PTR_ERR(prog) : add_prog(plan, prog);
	}
	if (!err)
		err = find_target(plan);
	if (err) {
		put_plan(plan);
		return ERR_PTR(err);
	}
	set_flags(plan);
	plan->im.skips = plan->skips;
	return plan;
}

static int size(struct plan *plan)
{
	return CALL(arch_bpf_trampoline_size)(&plan->model, plan->flags, plan->nodes,
					      plan->func);
}

static int build(struct plan *plan)
{
	struct bpf_tramp_image *im = &plan->im;

	return CALL(arch_prepare_bpf_trampoline)(im, im->image, im->image + im->size,
						 &plan->model, plan->flags,
						 plan->nodes, plan->func);
}

static void place_and_free(u32 bytes)
{
	void *image = CALL(arch_alloc_bpf_trampoline)(bytes);

	if (image)
		CALL(arch_free_bpf_trampoline)(image, bytes);
}

static void page_and_free(void)
{
	void *page = CALL(bpf_jit_alloc_exec)(PAGE_SIZE);

	if (page)
		CALL(bpf_jit_free_exec)(page);
}

/* The pieces that either builder may be made of. */
static void cost_pieces(struct plan *plan, struct bench_build *request, void *copy, u64 nothing)
{
	u32 bytes = plan->im.size;

	request->place = COST((void)0, place_and_free(bytes)) - nothing;
	request->page = COST((void)0, page_and_free()) - nothing;
	request->scratch = COST((void)0, kvfree(kvmalloc(bytes, GFP_KERNEL))) - nothing;
	request->copy = COST((void)0, CALL(bpf_arch_text_copy)(plan->im.image, copy, bytes)) -
			nothing;
}

static int bench_build(struct bench_build *request)
{
	struct plan *plan = get_plan(request);
	u64 nothing = cost_of_nothing();
	void *copy;
	int ret;

	if (IS_ERR(plan))
		return PTR_ERR(plan);
	request->size = COST((void)0, ret = size(plan)) - nothing;
	if (ret < 0)
		goto out;
	if (ret > PAGE_SIZE) {
		ret = -E2BIG;
		goto out;
	}
	request->bytes = ret;
	request->flags = plan->flags;
	ret = -ENOMEM;
	plan->im.size = request->bytes;
	plan->im.image = CALL(arch_alloc_bpf_trampoline)(plan->im.size);
	if (!plan->im.image)
		goto out;
	/* Every run finds the records as the kernel hands them out. */
	request->build = COST(plan->im.nr_skips = 0, ret = build(plan)) - nothing;
	copy = ret < 0 ? NULL : kvmemdup(plan->im.image, plan->im.size, GFP_KERNEL);
	if (copy)
		cost_pieces(plan, request, copy, nothing);
	else if (ret >= 0)
		ret = -ENOMEM;
	kvfree(copy);
	CALL(arch_free_bpf_trampoline)(plan->im.image, plan->im.size);
out:
	put_plan(plan);
	return min(ret, 0);
}

/* --- Calling ---------------------------------------------------------------- */

int bpf_fentry_test1(int a);

static int bench_call(struct bench_call *request)
{
	unsigned long flags;

	local_irq_save(flags);
	request->call = COST((void)0, bpf_fentry_test1(1)) - cost_of_nothing();
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

static noinline __nocfi void cost_calls(const struct calls *calls, struct bpf_prog *prog,
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

static int bench_parts(struct bench_parts *request)
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
static int bench_loop(struct bench_loop *request)
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

/* --- The device ------------------------------------------------------------- */

#define REQUEST(ioc, type)						\
	case ioc: {							\
		struct type *request = memdup_user(user, sizeof(*request)); \
									\
		if (IS_ERR(request))					\
			return PTR_ERR(request);			\
		ret = type(request);					\
		if (!ret && copy_to_user(user, request, sizeof(*request))) \
			ret = -EFAULT;					\
		kfree(request);						\
		return ret;						\
	}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	int ret;

	switch (cmd) {
	REQUEST(BENCH_IOC_BUILD, bench_build)
	REQUEST(BENCH_IOC_CALL, bench_call)
	REQUEST(BENCH_IOC_PARTS, bench_parts)
	REQUEST(BENCH_IOC_LOOP, bench_loop)
	default:
		return -ENOTTY;
	}
}

static const struct file_operations bench_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = bench_ioctl,
};

static struct miscdevice bench_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &bench_fops,
	.mode = 0600,
};

/* The kernel's own, which a kprobe finds. */
static int find_lookup(void)
{
	struct kprobe kp = { .symbol_name = "kallsyms_lookup_name" };
	int ret = register_kprobe(&kp);

	if (ret)
		return ret;
	static_call_update(call_kallsyms_lookup_name, (typeof(&kallsyms_lookup_name))kp.addr);
	unregister_kprobe(&kp);
	return 0;
}

#define FIND(name)							\
	do {								\
		unsigned long addr = CALL(kallsyms_lookup_name)(#name);		\
									\
		if (!addr)						\
			return -ENOENT;					\
		static_call_update(call_##name, (typeof(&name))addr);	\
	} while (0);

static int __init bench_init(void)
{
	int ret = find_lookup();

	if (ret)
		return ret;
	FUNCTIONS(FIND)
	return misc_register(&bench_device);
}
module_init(bench_init);

static void __exit bench_exit(void)
{
	misc_deregister(&bench_device);
}
module_exit(bench_exit);

MODULE_DESCRIPTION("Counts what BPF trampolines cost");
MODULE_LICENSE("GPL");
