// SPDX-License-Identifier: GPL-2.0
/*
 * Static calls to unexported kernel functions, and out-of-line copies of
 * inline ones. No logic lives here.
 */
#include <linux/module.h>
#include <linux/rcupdate_trace.h>
#include <linux/static_call.h>
#include <linux/workqueue.h>

#include "helpers.h"

#define DEFINE_CALL(ret, name, params, args)				\
	DEFINE_STATIC_CALL_NULL(rf_call_##name, name);			\
									\
	ret rf_##name params						\
	{								\
		return static_call(rf_call_##name) args;		\
	}								\
									\
	static __maybe_unused void rf_do_bind_##name(void *addr)	\
	{								\
		static_call_update(rf_call_##name, (typeof(&name))addr);\
	}

#define CALL(ret, name, params, args) DEFINE_CALL(ret, name, params, args)
#define CALL_BODY CALL
#include "unexported.h"
#undef CALL_BODY
#undef CALL

DEFINE_CALL(unsigned long, kallsyms_lookup_name, (const char *name), (name))

void rf_bind_kallsyms_lookup_name(void *addr)
{
	rf_do_bind_kallsyms_lookup_name(addr);
}

const struct rf_symbol rf_symbols[] = {
#define CALL(ret, name, params, args) { #name, rf_do_bind_##name, false },
#define CALL_BODY(ret, name, params, args) { #name, rf_do_bind_##name, true },
#include "unexported.h"
#undef CALL_BODY
#undef CALL
};
const unsigned int rf_nr_symbols = ARRAY_SIZE(rf_symbols);

#ifndef CONFIG_MITIGATION_RETHUNK
bool rf_cpu_wants_rethunk(void)
{
	return cpu_wants_rethunk();
}
#endif

#ifndef CONFIG_CFI
u32 rf_cfi_get_func_hash(void *func)
{
	return cfi_get_func_hash(func);
}

int rf_cfi_get_func_arity(void *func)
{
	return cfi_get_func_arity(func);
}
#endif

#ifndef CONFIG_X86_KERNEL_IBT
bool rf_is_endbr(u32 *val)
{
	return is_endbr(val);
}
#endif

#ifndef CONFIG_MITIGATION_CALL_DEPTH_TRACKING
int rf_x86_call_depth_emit_accounting(u8 **pprog, void *func, void *ip)
{
	return x86_call_depth_emit_accounting(pprog, func, ip);
}
#endif

#ifndef BTF_FMODEL_ARENA_ARG
u64 rf_bpf_tramp_arena_base(const struct btf_func_model *m, struct bpf_tramp_nodes *tnodes,
			    u32 flags)
{
	return 0;
}
#endif

void rf_call_rcu_tasks(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_tasks(head, func);
}

void rf_rcu_barrier_tasks(void)
{
	rcu_barrier_tasks();
}

void rf_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

void rf_synchronize_rcu_tasks_rude(void)
{
	synchronize_rcu_tasks_rude();
}

void rf_call_rcu_tasks_trace(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_tasks_trace(head, func);
}

void rf_rcu_barrier_tasks_trace(void)
{
	rcu_barrier_tasks_trace();
}

void notrace rf_redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op,
			 struct ftrace_regs *fregs)
{
	const struct rf_redirection *one = op->private;

	/* The site is the function's first instruction, or the one behind its ENDBR. */
	while (one->from && ip - one->from > ENDBR_INSN_SIZE)
		one++;
	if (one->from)
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)one->to);
}

struct bpf_prog *rf_verified_prog(const struct bpf_verifier_env *env)
{
	return env->prog;
}

void rf_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

struct dentry *rf_debugfs_create_file(const char *name, umode_t mode, struct dentry *parent,
				      void *data, const struct file_operations *fops)
{
	return debugfs_create_file(name, mode, parent, data, fops);
}
