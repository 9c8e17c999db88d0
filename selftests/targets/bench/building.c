// SPDX-License-Identifier: GPL-2.0
/*
 * What building an image costs, by the kernel's own entry points, whoever answers
 * there. They allocate and take mutexes, so they run with interrupts on; an interrupt
 * that falls into a run is in that run only, and the least of all runs is taken.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "bench.h"

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
	void *page = CALL(execmem_alloc)(EXECMEM_MODULE_DATA, PAGE_SIZE);

	if (page)
		CALL(execmem_free)(page);
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

int bench_build(struct bench_build *request)
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
	/*
	 * Every run finds the records as the kernel hands them out, and the image measured
	 * just before, as the kernel does it.
	 */
	request->build = COST(plan->im.nr_skips = 0; size(plan), ret = build(plan)) - nothing;
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
