// SPDX-License-Identifier: GPL-2.0
/*
 * A direct call of somebody else, while the module is loaded: samples/ftrace has
 * more of the kind.
 */
#include <linux/ftrace.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <asm/asm-offsets.h>

static char function[] = "bpf_fentry_test8";

asmlinkage void direct_tramp(void);

asm(
	".text\n"
	".type direct_tramp, @function\n"
	ASM_FUNC_ALIGN
	"direct_tramp:\n"
		ASM_ENDBR
		CALL_DEPTH_ACCOUNT
		ASM_RET
	".size direct_tramp, .-direct_tramp\n"
);

static struct ftrace_ops direct;

static int __init direct_init(void)
{
	int ret = ftrace_set_filter(&direct, function, strlen(function), 1);

	if (!ret)
		ret = register_ftrace_direct(&direct, (unsigned long)direct_tramp);
	if (ret)
		ftrace_free_filter(&direct);
	return ret;
}
module_init(direct_init);

static void __exit direct_exit(void)
{
	unregister_ftrace_direct(&direct, (unsigned long)direct_tramp, true);
}
module_exit(direct_exit);

MODULE_DESCRIPTION("A direct call beside those of rust_fsession");
MODULE_LICENSE("GPL");
