// SPDX-License-Identifier: GPL-2.0
/*
 * Functions to be traced: every number and width of arguments, structures by
 * value, returns of every kind. /dev/rust_fsession_targets calls them.
 *
 * A function returns a sum of its arguments that depends on all their bits, so
 * that an image that loses one on its way to the function is found out.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "rust_fsession_targets.h"

/*
 * Their addresses are taken, or they are marked as used: the compiler neither
 * drops nor changes the parameters.
 */
#define TARGET	static noinline __noclone

/* One step of FNV-1a, over words. */
static __always_inline u64 fold(u64 sum, u64 word)
{
	return (sum ^ word) * 0x100000001b3;
}

/* --- Arguments by their number ------------------------------------------- */

#define PARAMS_1	u64 a
#define PARAMS_2	PARAMS_1, u64 b
#define PARAMS_3	PARAMS_2, u64 c
#define PARAMS_4	PARAMS_3, u64 d
#define PARAMS_5	PARAMS_4, u64 e
#define PARAMS_6	PARAMS_5, u64 f
#define PARAMS_7	PARAMS_6, u64 g
#define PARAMS_8	PARAMS_7, u64 h
#define PARAMS_9	PARAMS_8, u64 i
#define PARAMS_10	PARAMS_9, u64 j
#define PARAMS_11	PARAMS_10, u64 k
#define PARAMS_12	PARAMS_11, u64 l

#define SUM_1		fold(0, a)
#define SUM_2		fold(SUM_1, b)
#define SUM_3		fold(SUM_2, c)
#define SUM_4		fold(SUM_3, d)
#define SUM_5		fold(SUM_4, e)
#define SUM_6		fold(SUM_5, f)
#define SUM_7		fold(SUM_6, g)
#define SUM_8		fold(SUM_7, h)
#define SUM_9		fold(SUM_8, i)
#define SUM_10		fold(SUM_9, j)
#define SUM_11		fold(SUM_10, k)
#define SUM_12		fold(SUM_11, l)

#define ARGS(nr) TARGET u64 targets_args_##nr(PARAMS_##nr) { return SUM_##nr; }

TARGET u64 targets_args_0(void)
{
	return fold(0, 0);
}

ARGS(1) ARGS(2) ARGS(3) ARGS(4) ARGS(5) ARGS(6)
ARGS(7) ARGS(8) ARGS(9) ARGS(10) ARGS(11) ARGS(12)

/* --- Arguments by their width -------------------------------------------- */

#define WIDE(a)		((u64)(a))
#define POINTER(a)	((unsigned long)(a))

#define FOLD_7(to_u64)							\
	fold(fold(fold(fold(fold(fold(fold(0,				\
		to_u64(a)), to_u64(b)), to_u64(c)), to_u64(d)),		\
		to_u64(e)), to_u64(f)), to_u64(g))
#define FOLD_8(to_u64)	fold(FOLD_7(to_u64), to_u64(h))

/* One of them on the stack, where its upper half is not defined; then two. */
#define WIDTH(name, type, to_u64)					\
	TARGET u64 targets_##name##_7(type a, type b, type c, type d,	\
				      type e, type f, type g)		\
	{								\
		return FOLD_7(to_u64);					\
	}								\
	TARGET u64 targets_##name##_8(type a, type b, type c, type d,	\
				      type e, type f, type g, type h)	\
	{								\
		return FOLD_8(to_u64);					\
	}

WIDTH(u8, u8, WIDE)
WIDTH(s8, s8, WIDE)
WIDTH(u16, u16, WIDE)
WIDTH(s16, s16, WIDE)
WIDTH(u32, u32, WIDE)
WIDTH(s32, s32, WIDE)
WIDTH(bool, bool, WIDE)
WIDTH(pointer, void *, POINTER)

TARGET u64 targets_mixed(u8 a, s64 b, u16 c, void *d, s32 e, bool f,
			 s8 g, u64 h, s16 i, u32 j, void *k, u8 l)
{
	return fold(fold(fold(fold(fold(fold(fold(fold(fold(fold(fold(fold(0,
		a), b), c), POINTER(d)), e), f), g), h), i), j), POINTER(k)), l);
}

/* --- Structures by value ------------------------------------------------- */

struct targets_8 { u32 low; s32 high; };
struct targets_12 { u64 first; u32 second; };
struct targets_16 { u64 first, second; };

#define STRUCT_8(s)	fold((s).low, (s).high)
#define STRUCT_16(s)	fold((s).first, (s).second)

TARGET u64 targets_struct_8(u64 a, struct targets_8 s, u64 b)
{
	return fold(fold(fold(0, a), STRUCT_8(s)), b);
}

TARGET u64 targets_struct_12(struct targets_12 s, u64 a)
{
	return fold(fold(0, STRUCT_16(s)), a);
}

TARGET u64 targets_struct_first(struct targets_16 s, u64 a, u32 b)
{
	return fold(fold(fold(0, STRUCT_16(s)), a), b);
}

/* In the last two registers. */
TARGET u64 targets_struct_last(u64 a, u64 b, u64 c, u64 d, struct targets_16 s)
{
	return fold(fold(fold(fold(fold(0, a), b), c), d), STRUCT_16(s));
}

/* One register is left: the structure is on the stack, the last one takes it. */
TARGET u64 targets_struct_split(u64 a, u64 b, u64 c, u64 d, u64 e,
				struct targets_16 s, u64 f)
{
	return fold(fold(fold(fold(fold(fold(fold(0, a), b), c), d), e),
		    STRUCT_16(s)), f);
}

TARGET u64 targets_struct_both(struct targets_16 s, u64 a, u64 b, u64 c,
			       struct targets_12 t, u64 d, struct targets_8 u)
{
	return fold(fold(fold(fold(fold(fold(fold(0, STRUCT_16(s)), a), b), c),
		    STRUCT_16(t)), d), STRUCT_8(u));
}

TARGET u64 targets_struct_most(struct targets_16 s, struct targets_16 t,
			       struct targets_16 u, struct targets_16 v,
			       struct targets_16 w, struct targets_16 x)
{
	return fold(fold(fold(fold(fold(fold(0, STRUCT_16(s)), STRUCT_16(t)),
		    STRUCT_16(u)), STRUCT_16(v)), STRUCT_16(w)), STRUCT_16(x));
}

/* --- Returns ------------------------------------------------------------- */

static u64 void_saw;

TARGET void targets_void(u64 a, u64 b)
{
	WRITE_ONCE(void_saw, fold(fold(0, a), b));
}

TARGET u64 targets_void_saw(void)
{
	return READ_ONCE(void_saw);
}

#define RETURNS(name, type) TARGET type targets_ret_##name(type a) { return a; }

RETURNS(u8, u8)
RETURNS(s16, s16)
RETURNS(int, int)
RETURNS(bool, bool)
RETURNS(pointer, void *)

/* --- Calls within calls --------------------------------------------------- */

TARGET u64 targets_recursive(u64 depth)
{
	return fold(depth ? targets_recursive(depth - 1) : 0, depth);
}

TARGET u64 targets_inner(u64 a, u64 b)
{
	return fold(fold(0, a), b);
}

TARGET u64 targets_outer(u64 a, u64 b)
{
	return fold(targets_inner(a, b), targets_inner(b, a));
}

/* By address, for a program that looks at what it points to. */
TARGET __used u64 targets_pair(const struct targets_16 *pair, u64 a)
{
	return fold(STRUCT_16(*pair), a);
}

TARGET u64 targets_pair_of(u64 a, u64 b, u64 c)
{
	struct targets_16 pair = { a, b };

	return targets_pair(&pair, c);
}

static DECLARE_COMPLETION(woken);

TARGET u64 targets_sleep(u64 a, u64 b)
{
	if (wait_for_completion_interruptible(&woken))
		return 0;
	return fold(fold(0, a), b);
}

/* Many functions to sleep in, for as many trampolines. */
#define SLEEP(nr)							\
	TARGET u64 targets_sleep_##nr(u64 a, u64 b)			\
	{								\
		return targets_sleep(a, b) + nr;			\
	}

SLEEP(0) SLEEP(1) SLEEP(2) SLEEP(3) SLEEP(4)
SLEEP(5) SLEEP(6) SLEEP(7) SLEEP(8) SLEEP(9)
SLEEP(10) SLEEP(11) SLEEP(12) SLEEP(13) SLEEP(14)
SLEEP(15) SLEEP(16) SLEEP(17) SLEEP(18) SLEEP(19)

/* What the live patch replaces. */
TARGET u64 targets_patched(u64 a, u64 b)
{
	return fold(fold(0, a), b);
}

/* --- Changed by fmod_ret programs ----------------------------------------- */

static atomic64_t modify_ran;

TARGET int targets_modify(int a, u64 b)
{
	atomic64_inc(&modify_ran);
	return a;
}

TARGET int targets_modify_stack(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f,
				u64 g, int h)
{
	atomic64_inc(&modify_ran);
	return h;
}

/* Eight arguments, and a sleep that ends as that of targets_sleep(). */
TARGET u64 targets_modify_sleep(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f,
				u64 g, u64 h)
{
	if (wait_for_completion_interruptible(&woken))
		return 0;
	return SUM_8;
}

TARGET u64 targets_modify_ran(void)
{
	return atomic64_read(&modify_ran);
}

BTF_KFUNCS_START(modify_ids)
BTF_ID_FLAGS(func, targets_modify)
BTF_ID_FLAGS(func, targets_modify_stack, KF_SLEEPABLE)
BTF_ID_FLAGS(func, targets_modify_sleep, KF_SLEEPABLE)
BTF_KFUNCS_END(modify_ids)

static const struct btf_kfunc_id_set modify_set = {
	.owner = THIS_MODULE,
	.set = &modify_ids,
};

/* --- Never called: no trampoline can have them ---------------------------- */

TARGET __used u64 targets_no_args_13(PARAMS_12, u64 m)
{
	return fold(SUM_12, m);
}

struct targets_24 { u64 words[3]; };

TARGET __used u64 targets_no_large(struct targets_24 s)
{
	return s.words[2];
}

TARGET __used struct targets_16 targets_no_struct_ret(u64 a)
{
	return (struct targets_16) { a, a };
}

TARGET __used u64 targets_no_variadic(u64 a, ...)
{
	return a;
}

/* Fourteen words in seven arguments. */
TARGET __used u64 targets_no_words(struct targets_16 s, struct targets_16 t,
				   struct targets_16 u, struct targets_16 v,
				   struct targets_16 w, struct targets_16 x,
				   struct targets_16 y)
{
	return s.first + t.first + u.first + v.first + w.first + x.first + y.second;
}

TARGET __used notrace u64 targets_no_trace(u64 a)
{
	return a;
}

/* --- The device ----------------------------------------------------------- */

static const struct {
	const char *name;
	void *function;
} functions[] = {
#define FUNCTION(name) { #name, targets_##name }
#define FUNCTIONS(width) FUNCTION(width##_7), FUNCTION(width##_8)
	FUNCTION(args_0), FUNCTION(args_1), FUNCTION(args_2), FUNCTION(args_3),
	FUNCTION(args_4), FUNCTION(args_5), FUNCTION(args_6), FUNCTION(args_7),
	FUNCTION(args_8), FUNCTION(args_9), FUNCTION(args_10), FUNCTION(args_11),
	FUNCTION(args_12), FUNCTION(mixed),
	FUNCTIONS(u8), FUNCTIONS(s8), FUNCTIONS(u16), FUNCTIONS(s16),
	FUNCTIONS(u32), FUNCTIONS(s32), FUNCTIONS(bool), FUNCTIONS(pointer),
	FUNCTION(struct_8), FUNCTION(struct_12), FUNCTION(struct_first),
	FUNCTION(struct_last), FUNCTION(struct_split), FUNCTION(struct_both),
	FUNCTION(struct_most), FUNCTION(void), FUNCTION(void_saw),
	FUNCTION(ret_u8), FUNCTION(ret_s16), FUNCTION(ret_int),
	FUNCTION(ret_bool), FUNCTION(ret_pointer), FUNCTION(recursive),
	FUNCTION(outer), FUNCTION(pair_of), FUNCTION(sleep), FUNCTION(patched),
	FUNCTION(sleep_0), FUNCTION(sleep_1), FUNCTION(sleep_2), FUNCTION(sleep_3),
	FUNCTION(sleep_4), FUNCTION(sleep_5), FUNCTION(sleep_6), FUNCTION(sleep_7),
	FUNCTION(sleep_8), FUNCTION(sleep_9), FUNCTION(sleep_10), FUNCTION(sleep_11),
	FUNCTION(sleep_12), FUNCTION(sleep_13), FUNCTION(sleep_14), FUNCTION(sleep_15),
	FUNCTION(sleep_16), FUNCTION(sleep_17), FUNCTION(sleep_18), FUNCTION(sleep_19),
	FUNCTION(modify), FUNCTION(modify_stack), FUNCTION(modify_sleep),
	FUNCTION(modify_ran),
};

/* A prototype that fits them all, as far as the machine is concerned. */
typedef u64 any_function(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64);

static __nocfi u64 call(void *function, const u64 *w)
{
	any_function *any = function;

	return any(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9],
		   w[10], w[11]);
}

static int call_by_name(struct targets_call *request)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (strncmp(functions[i].name, request->function, TARGETS_NAME_LEN))
			continue;
		request->ret = call(functions[i].function, request->words);
		return 0;
	}
	return -ENOENT;
}

static long targets_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct targets_call request;
	int ret;

	switch (cmd) {
	case TARGETS_IOC_CALL:
		if (copy_from_user(&request, user, sizeof(request)))
			return -EFAULT;
		ret = call_by_name(&request);
		if (!ret && copy_to_user(user, &request, sizeof(request)))
			return -EFAULT;
		return ret;
	case TARGETS_IOC_WAKE:
		complete(&woken);
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct file_operations targets_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = targets_ioctl,
};

static struct miscdevice targets_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &targets_fops,
	.mode = 0600,
};

static int __init targets_init(void)
{
	int ret = register_btf_fmodret_id_set(&modify_set);

	if (ret)
		pr_warn("no function can be changed by fmod_ret programs: %d\n", ret);
	return misc_register(&targets_device);
}
module_init(targets_init);

static void __exit targets_exit(void)
{
	misc_deregister(&targets_device);
}
module_exit(targets_exit);

MODULE_DESCRIPTION("Functions that the selftests of rust_fsession trace");
MODULE_LICENSE("GPL");
