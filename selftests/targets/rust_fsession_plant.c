// SPDX-License-Identifier: GPL-2.0
/*
 * Plants differences: changes one thing in what the kernel's C builder has just
 * built, so that somebody can see the comparison with it fail. All is controlled
 * in /sys/module/rust_fsession_plant/parameters.
 *
 * arch_prepare_bpf_trampoline() builds in a buffer, fills in the records of its
 * struct bpf_tramp_image, and copies the buffer into place by calling
 * text_poke_copy(). One kprobe notes the image of the former, another one
 * changes things at the latter. The first one is behind the ftrace site, where
 * rust_fsession.ko and its hooks enter the function; so is a third one, in
 * arch_bpf_trampoline_size(). A kretprobe is on the function of rust_fsession.ko,
 * which has to be there, that has C inline a kfunc.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>

static char what[16];
module_param_string(what, what, sizeof(what), 0600);
MODULE_PARM_DESC(what, "What to change: code, prog, nop, target, count, fp_start, fp_end, size, kfunc, nothing");

static uint at;
module_param(at, uint, 0600);
MODULE_PARM_DESC(at, "Number of the byte, or of the skip record");

static int process;
module_param(process, int, 0600);
MODULE_PARM_DESC(process, "The process whose images are changed");

static uint planted;
module_param(planted, uint, 0400);
MODULE_PARM_DESC(planted, "How many images were changed (or, with nothing, built)");

/* The task that is in the C builder for `process`, its image, the place of that. */
static struct task_struct *building;
static struct bpf_tramp_image *building_im;
static unsigned long building_at;

static int enter_builder(struct kprobe *kp, struct pt_regs *regs)
{
	if (process && process == current->tgid) {
		building_im = (struct bpf_tramp_image *)regs->di;
		building_at = regs->si;
		building = current;
	}
	return 0;
}
NOKPROBE_SYMBOL(enter_builder);

static bool is_wanted(const char *name)
{
	return !strncmp(what, name, sizeof(what));
}
NOKPROBE_SYMBOL(is_wanted);

static bool plant(struct bpf_tramp_image *im, u8 *code, size_t len)
{
	struct bpf_tramp_skip *skip = NULL;

	if (im && im->skips && at < im->nr_skips)
		skip = &im->skips[at];
	if (is_wanted("code") && at < len)
		code[at] ^= 1;
	else if (is_wanted("prog") && skip)
		skip->prog = (void *)skip->prog + 1;
	else if (is_wanted("nop") && skip)
		skip->nop++;
	else if (is_wanted("target") && skip)
		skip->target++;
	else if (is_wanted("count") && skip)
		im->nr_skips--;
	else if (is_wanted("fp_start") && im)
		im->ksym.fp_start++;
	else if (is_wanted("fp_end") && im)
		im->ksym.fp_end++;
	else
		return is_wanted("nothing");
	return true;
}
NOKPROBE_SYMBOL(plant);

static int copy_image(struct kprobe *kp, struct pt_regs *regs)
{
	if (building != current || regs->di != building_at)
		return 0;
	building = NULL;
	planted += plant(building_im, (u8 *)regs->si, regs->dx);
	return 0;
}
NOKPROBE_SYMBOL(copy_image);

/* What the module calls to have C inline a kfunc, and where that puts instructions. */
struct inlining {
	struct bpf_insn *insns;
	int *count;
};

static int enter_inlining(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct inlining *inlining = (struct inlining *)instance->data;

	inlining->insns = (struct bpf_insn *)regs->dx;
	inlining->count = (int *)regs->r8;
	return !process || process != current->tgid || !is_wanted("kfunc");
}
NOKPROBE_SYMBOL(enter_inlining);

static int leave_inlining(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct inlining *inlining = (struct inlining *)instance->data;

	if (*inlining->count > 0) {
		inlining->insns[0].off ^= 8;
		planted++;
	}
	return 0;
}
NOKPROBE_SYMBOL(leave_inlining);

/* With another flag, the image that is only measured has another size. */
static int enter_measuring(struct kprobe *kp, struct pt_regs *regs)
{
	if (process && process == current->tgid && is_wanted("size")) {
		regs->si ^= BPF_TRAMP_F_IP_ARG;
		planted++;
	}
	return 0;
}
NOKPROBE_SYMBOL(enter_measuring);

static struct kprobe copy = {
	.symbol_name = "text_poke_copy",
	.pre_handler = copy_image,
};

static struct kprobe build = {
	.pre_handler = enter_builder,
};

static struct kprobe measure = {
	.pre_handler = enter_measuring,
};

static struct kretprobe inlined = {
	.kp.symbol_name = "rf_bpf_fixup_kfunc_call",
	.entry_handler = enter_inlining,
	.handler = leave_inlining,
	.data_size = sizeof(struct inlining),
};

/* Behind the ftrace site of a function, which a kprobe on it tells. */
static int register_behind_site(struct kprobe *probe, const char *function)
{
	struct kprobe site = { .symbol_name = function };
	int ret = register_kprobe(&site);

	if (ret)
		return ret;
	probe->addr = site.addr + MCOUNT_INSN_SIZE;
	unregister_kprobe(&site);
	return register_kprobe(probe);
}

static int __init plant_init(void)
{
	int ret = register_kprobe(&copy);

	if (ret)
		return ret;
	ret = register_behind_site(&build, "arch_prepare_bpf_trampoline");
	if (ret)
		goto no_build;
	ret = register_behind_site(&measure, "arch_bpf_trampoline_size");
	if (ret)
		goto no_measure;
	ret = register_kretprobe(&inlined);
	if (ret)
		goto no_inlined;
	return 0;

no_inlined:
	unregister_kprobe(&measure);
no_measure:
	unregister_kprobe(&build);
no_build:
	unregister_kprobe(&copy);
	return ret;
}
module_init(plant_init);

static void __exit plant_exit(void)
{
	unregister_kretprobe(&inlined);
	unregister_kprobe(&measure);
	unregister_kprobe(&build);
	unregister_kprobe(&copy);
}
module_exit(plant_exit);

MODULE_DESCRIPTION("Differences between builders for the selftests of rust_fsession");
MODULE_LICENSE("GPL");
