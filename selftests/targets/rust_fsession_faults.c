// SPDX-License-Identifier: GPL-2.0
/*
 * Lets kernel functions fail, on kernels without fault injection: a kprobe
 * returns from the function before it does anything. All is controlled in
 * /sys/module/rust_fsession_faults/parameters.
 *
 * The kprobe has a post handler and so changes the instruction pointer by
 * ftrace (FTRACE_OPS_FL_IPMODIFY), as that of kernel/fail_function.c does.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/static_call.h>

static long retval;
module_param(retval, long, 0600);
MODULE_PARM_DESC(retval, "What a call that fails returns");

static int times;
module_param(times, int, 0600);
MODULE_PARM_DESC(times, "How many more calls fail");

static int process;
module_param(process, int, 0600);
MODULE_PARM_DESC(process, "Whose calls fail (0: everybody's)");

static ulong second;
module_param(second, ulong, 0600);
MODULE_PARM_DESC(second, "Second argument of calls that fail (0: any)");

static char caller[MODULE_NAME_LEN];
module_param_string(caller, caller, sizeof(caller), 0600);
MODULE_PARM_DESC(caller, "Module whose calls fail (blank: any caller)");

asmlinkage void faults_just_return(void);

asm(
	".text\n"
	".type faults_just_return, @function\n"
	ASM_FUNC_ALIGN
	"faults_just_return:\n"
		ANNOTATE_NOENDBR "\n"
		ASM_RET
	".size faults_just_return, .-faults_just_return\n"
);

static bool is_called_by(const char *module, unsigned long from)
{
	char name[KSYM_SYMBOL_LEN], *begin;
	size_t len = strlen(module);

	sprint_symbol(name, from);
	begin = strchr(name, '[');
	return begin && !strncmp(begin + 1, module, len) && begin[1 + len] == ']';
}
NOKPROBE_SYMBOL(is_called_by);

static bool take_one(void)
{
	int left = READ_ONCE(times);

	do {
		if (left <= 0)
			return false;
	} while (!try_cmpxchg(&times, &left, left - 1));
	return true;
}
NOKPROBE_SYMBOL(take_one);

static int pre_handler(struct kprobe *kp, struct pt_regs *regs)
{
	if (READ_ONCE(times) <= 0)
		return 0;
	if (process && process != current->tgid)
		return 0;
	if (second && second != regs->si)
		return 0;
	/* At a function's entry, the return address is on top of the stack. */
	if (isgraph(caller[0]) && !is_called_by(caller, *(unsigned long *)regs->sp))
		return 0;
	if (!take_one())
		return 0;
	regs->ax = retval;
	regs->ip = (unsigned long)faults_just_return;
	return 1;
}
NOKPROBE_SYMBOL(pre_handler);

static void post_handler(struct kprobe *kp, struct pt_regs *regs,
			 unsigned long flags)
{
}
NOKPROBE_SYMBOL(post_handler);

static char function[KSYM_NAME_LEN];
static struct kprobe probe;

/* The core serialises changes of a module's parameters. */
static int function_set(const char *value, const struct kernel_param *kp)
{
	int ret;

	if (probe.addr)
		unregister_kprobe(&probe);
	probe = (struct kprobe) {
		.symbol_name = function,
		.pre_handler = pre_handler,
		.post_handler = post_handler,
	};
	strscpy(function, value);
	strim(function);
	if (!function[0])
		return 0;
	ret = register_kprobe(&probe);
	if (ret) {
		pr_warn("no kprobe on %s(): %d\n", function, ret);
		probe.addr = NULL;
		function[0] = '\0';
	}
	return ret;
}

static int function_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", function);
}

static const struct kernel_param_ops function_ops = {
	.set = function_set,
	.get = function_get,
};
module_param_cb(function, &function_ops, NULL, 0600);
MODULE_PARM_DESC(function, "Function that fails (empty: none)");

DEFINE_STATIC_CALL_NULL(faults_ftrace_kill, ftrace_kill);

/* ftrace_kill() is not exported; a kprobe knows its address. */
static int kill_ftrace_set(const char *value, const struct kernel_param *kp)
{
	struct kprobe at = { .symbol_name = "ftrace_kill" };
	int ret = register_kprobe(&at);

	if (ret)
		return ret;
	static_call_update(faults_ftrace_kill, (typeof(&ftrace_kill))at.addr);
	unregister_kprobe(&at);
	pr_info("ftrace ends here\n");
	static_call(faults_ftrace_kill)();
	return 0;
}

static const struct kernel_param_ops kill_ftrace_ops = {
	.set = kill_ftrace_set,
};
module_param_cb(kill_ftrace, &kill_ftrace_ops, NULL, 0200);
MODULE_PARM_DESC(kill_ftrace, "Writing anything turns ftrace off until the next boot");

static int __init faults_init(void)
{
	return 0;
}
module_init(faults_init);

static void __exit faults_exit(void)
{
	if (probe.addr)
		unregister_kprobe(&probe);
}
module_exit(faults_exit);

MODULE_DESCRIPTION("Kernel functions that fail for the selftests of rust_fsession");
MODULE_LICENSE("GPL");
