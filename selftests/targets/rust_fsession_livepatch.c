// SPDX-License-Identifier: GPL-2.0
/*
 * A live patch for one of the test targets: what it returns tells the two
 * apart. Writing 0 to /sys/kernel/livepatch/rust_fsession_livepatch/enabled
 * takes it back.
 */
#include <linux/livepatch.h>
#include <linux/module.h>

static u64 patched(u64 a, u64 b)
{
	return a - b;
}

static struct klp_func funcs[] = {
	{ .old_name = "targets_patched", .new_func = patched },
	{ }
};

static struct klp_object objs[] = {
	{ .name = "rust_fsession_targets", .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init livepatch_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(livepatch_init);

static void __exit livepatch_exit(void)
{
}
module_exit(livepatch_exit);

MODULE_DESCRIPTION("A live patch for the selftests of rust_fsession");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
