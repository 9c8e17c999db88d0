/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the Rust side calls in C: the static calls of unexported.h, and kernel
 * functions that exist as inline functions or macros only.
 */
#ifndef _RUST_FSESSION_HELPERS_H
#define _RUST_FSESSION_HELPERS_H

#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/cfi.h>
#include <linux/debugfs.h>
#include <linux/ftrace.h>
#include <linux/kallsyms.h>
#include <linux/workqueue.h>
#include <asm/alternative.h>
#include <asm/ibt.h>

/* One function of unexported.h. */
struct rf_symbol {
	const char *name;
	/* Points its static call at addr. */
	void (*bind)(void *addr);
	/* The call goes to the function's body, behind the ftrace site. */
	bool body;
};

extern const struct rf_symbol rf_symbols[];
extern const unsigned int rf_nr_symbols;

/* Declared in kernel/trace/trace.h, which modules do not see. */
int ftrace_is_dead(void);

/* The function that finds all others, bound before them. */
void rf_bind_kallsyms_lookup_name(void *addr);
unsigned long rf_kallsyms_lookup_name(const char *name);

#define CALL(ret, name, params, args) ret rf_##name params;
#define CALL_BODY CALL
#include "unexported.h"
#undef CALL_BODY
#undef CALL

#ifndef CONFIG_MITIGATION_RETHUNK
bool rf_cpu_wants_rethunk(void);
#endif
#ifndef CONFIG_CFI
u32 rf_cfi_get_func_hash(void *func);
int rf_cfi_get_func_arity(void *func);
#endif
#ifndef CONFIG_X86_KERNEL_IBT
bool rf_is_endbr(u32 *val);
#endif
#ifndef CONFIG_MITIGATION_CALL_DEPTH_TRACKING
int rf_x86_call_depth_emit_accounting(u8 **pprog, void *func, void *ip);
#endif

#ifndef BTF_FMODEL_ARENA_ARG
u64 rf_bpf_tramp_arena_base(const struct btf_func_model *m, struct bpf_tramp_nodes *tnodes,
			    u32 flags);
#endif

void rf_call_rcu_tasks(struct rcu_head *head, rcu_callback_t func);
void rf_rcu_barrier_tasks(void);
void rf_synchronize_rcu_tasks(void);
void rf_synchronize_rcu_tasks_rude(void);
void rf_call_rcu_tasks_trace(struct rcu_head *head, rcu_callback_t func);
void rf_rcu_barrier_tasks_trace(void);
/* Where the callers of a function are led. A table of them ends with zeros. */
struct rf_redirection {
	unsigned long from;
	void *to;
};
/* ftrace callback: goes on where the table at op->private says. */
void rf_redirect(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op,
		 struct ftrace_regs *fregs);
/* The program that is being verified. */
struct bpf_prog *rf_verified_prog(const struct bpf_verifier_env *env);
void rf_init_work(struct work_struct *work, work_func_t func);
struct dentry *rf_debugfs_create_file(const char *name, umode_t mode, struct dentry *parent,
				      void *data, const struct file_operations *fops);

#endif /* _RUST_FSESSION_HELPERS_H */
