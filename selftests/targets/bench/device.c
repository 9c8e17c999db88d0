// SPDX-License-Identifier: GPL-2.0
/*
 * Counts what trampolines cost: /dev/rust_fsession_bench.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "bench.h"

#define DEFINE(name)	DEFINE_STATIC_CALL_NULL(call_##name, name);
FUNCTIONS(DEFINE)
DEFINE(kallsyms_lookup_name)

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
