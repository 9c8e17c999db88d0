/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What trace.bpf.c needs of the kernel's types, so that it is built without a
 * kernel's vmlinux.h. Offsets are those of the running kernel (CO-RE).
 */
#ifndef _FSESSION_KERNEL_H
#define _FSESSION_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_ARRAY		= 2,
	BPF_MAP_TYPE_RINGBUF		= 27,
	BPF_MAP_TYPE_TASK_STORAGE	= 29,
};

enum {
	BPF_F_NO_PREALLOC		= 1U << 0,
};

enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE	= 1ULL << 0,
};

struct bpf_dynptr {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct task_struct {
	int tgid;
} __attribute__((preserve_access_index));

#endif /* _FSESSION_KERNEL_H */
