// SPDX-License-Identifier: GPL-2.0
/*
 * Holds a task in functions that the module and its hooks call, asleep, for as long as
 * the stress wants: a direct call as any other tool may have one. All is controlled in
 * /sys/module/rust_fsession_gate/parameters.
 */
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <asm/asm-offsets.h>

static int task;
module_param(task, int, 0600);
MODULE_PARM_DESC(task, "The task that is held, by its number");

static atomic_t held = ATOMIC_INIT(0);
module_param_named(held, held.counter, int, 0400);
MODULE_PARM_DESC(held, "How many are");

static const char * const functions[] = { "bpf_arch_text_copy", "bpf_arch_text_poke" };

asmlinkage void gate_tramp(void);
asmlinkage bool gate_hold(void);

/*
 * Says whether the task was held. Nobody listens, but resolve_btfids (7.2) fails on
 * a module whose only type is a function without any.
 */
asmlinkage bool gate_hold(void)
{
	unsigned long end = jiffies + 60 * HZ;

	if (READ_ONCE(task) != current->pid)
		return false;
	atomic_inc(&held);
	while (READ_ONCE(task) == current->pid && !fatal_signal_pending(current) &&
	       time_before(jiffies, end))
		msleep(10);
	atomic_dec(&held);
	return true;
}

/* Whatever the function's caller has in registers stays there. */
asm(
	".text\n"
	".type gate_tramp, @function\n"
	ASM_FUNC_ALIGN
	"gate_tramp:\n"
		ASM_ENDBR
	"	pushq %rbp\n"
	"	movq %rsp, %rbp\n"
		CALL_DEPTH_ACCOUNT
	"	pushq %rdi\n"
	"	pushq %rsi\n"
	"	pushq %rdx\n"
	"	pushq %rcx\n"
	"	pushq %r8\n"
	"	pushq %r9\n"
	"	pushq %rax\n"
	"	pushq %r10\n"
	"	pushq %r11\n"
	"	call gate_hold\n"
	"	popq %r11\n"
	"	popq %r10\n"
	"	popq %rax\n"
	"	popq %r9\n"
	"	popq %r8\n"
	"	popq %rcx\n"
	"	popq %rdx\n"
	"	popq %rsi\n"
	"	popq %rdi\n"
	"	leave\n"
		ASM_RET
	".size gate_tramp, .-gate_tramp\n"
);

static struct ftrace_ops direct;

/* A task may sleep here for as long as it likes, so that the module stays. */
static int __init gate_init(void)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		char name[32];

		strscpy(name, functions[i], sizeof(name));
		ret = ftrace_set_filter(&direct, name, strlen(name), !i);
		if (ret)
			goto out;
	}
	ret = register_ftrace_direct(&direct, (unsigned long)gate_tramp);
out:
	if (ret)
		ftrace_free_filter(&direct);
	return ret;
}
module_init(gate_init);

MODULE_DESCRIPTION("Holds tasks in functions that rust_fsession calls");
MODULE_LICENSE("GPL");
