/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ABI of /dev/rust_fsession.
 *
 * open()	Takes CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN in place of
 *		either, else EPERM. The descriptor is one BPF trampoline without
 *		programs; the first program that is added fixes the target: it is
 *		the function that the program was loaded for.
 *
 * ioctl()	RUST_FSESSION_IOC_ADD		attaches a program
 *		RUST_FSESSION_IOC_REMOVE	detaches a program
 *		RUST_FSESSION_IOC_INFO		describes the trampoline
 *		RUST_FSESSION_IOC_COMPARE	builds one image with both builders
 *
 *		Each says below which errors it gives. All give EFAULT for memory
 *		that cannot be accessed, and ENOMEM. Any other request is ENOTTY.
 *
 * read()	Gives the code bytes of the current image from the file offset on,
 *		and end of file where nothing is attached. EPERM: see below.
 *
 * close()	Detaches everything. The last open descriptor waits until no task
 *		is in an image any more, for 2 seconds at most or until a signal.
 *
 * Addresses and code are for openers who may see those of jited programs: those
 * with CAP_SYSLOG while kernel.kptr_restrict is 0 or 1, and while it is 0 those
 * whom kernel.perf_event_paranoid allows it. For others, whoever holds the
 * descriptor, addresses are 0, and asking for code is EPERM.
 */
#ifndef _UAPI_RUST_FSESSION_H
#define _UAPI_RUST_FSESSION_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Bytes of the name in struct rust_fsession_info, its final NUL included. */
#define RUST_FSESSION_NAME_LEN		128

/* Most session cookies on one trampoline; one more is -E2BIG. */
#define RUST_FSESSION_MAX_COOKIES	4

/*
 * What became of the C builder's image for the same input at the same address
 * (struct rust_fsession_info, reference).
 */
#define RUST_FSESSION_REFERENCE_NONE		0 /* there is no image, or C could not be asked */
#define RUST_FSESSION_REFERENCE_IDENTICAL	1 /* code bytes and side records are equal */
#define RUST_FSESSION_REFERENCE_DIFFERENT	2 /* they are not; the kernel log says where */

/*
 * Attach a program.
 *
 * EBADF	prog_fd is not an open descriptor
 * EINVAL	not a BPF program, not a tracing program of a kind that has a
 *		trampoline, another target than the first program's, or flags
 *		is not 0
 * EBUSY	the program is attached already, here or elsewhere, the function
 *		has another direct call or is live-patched, or
 *		kernel.ftrace_enabled is 0
 * E2BIG	too many programs, too many cookies, or the image does not fit
 * ENODEV	ftrace is dead, or the module is being unloaded
 * ENOENT	the function is gone
 * EPERM	the limit of the JIT is reached, and the task has no CAP_BPF
 * EOPNOTSUPP	the target or the kernel is beyond what the builder covers
 *
 * After an error the trampoline is as it was.
 */
struct rust_fsession_add {
	__u32 prog_fd;
	__u32 flags;		/* must be 0 */
	__u64 bpf_cookie;	/* what bpf_get_attach_cookie() returns */
};

/*
 * Detach a program.
 *
 * EBADF, EINVAL as above, ENOENT: the program is not attached here.
 */
struct rust_fsession_remove {
	__u32 prog_fd;
	__u32 flags;		/* must be 0 */
};

/* The trampoline as it is. All 0 before the first program is added. */
struct rust_fsession_info {
	__u64 target_addr;	/* address of the traced function, 0: not shown */
	__u64 image_addr;	/* address of the current image, 0: none, or not shown */
	__u32 image_size;	/* bytes allocated for it, as the C builder counts them */
	__u32 code_size;	/* bytes of code in it, what read() gives */
	__u32 flags;		/* BPF_TRAMP_F_* it was built with */
	__u32 generation;	/* images built through this descriptor */
	__u32 nr_fentry;	/* programs by kind; a session counts once, */
	__u32 nr_fexit;		/* under nr_fsession only */
	__u32 nr_fmod_ret;
	__u32 nr_fsession;
	__u32 nr_cookies;	/* session cookies, not BPF cookies */
	__u32 reference;	/* RUST_FSESSION_REFERENCE_* */
	__u32 fp_start;		/* bytes from the image's start: frame pointer set up */
	__u32 fp_end;		/* and taken down */
	char target[RUST_FSESSION_NAME_LEN]; /* name of the traced function */
};

#define RUST_FSESSION_IOC_ADD		_IOW(0xbf, 1, struct rust_fsession_add)
#define RUST_FSESSION_IOC_REMOVE	_IOW(0xbf, 2, struct rust_fsession_remove)
#define RUST_FSESSION_IOC_INFO		_IOR(0xbf, 3, struct rust_fsession_info)

/*
 * Have one image built by both builders, for programs that do not exist. The
 * trampoline of the descriptor has no part in it.
 */

/* struct rust_fsession_case_prog, list */
#define RUST_FSESSION_LIST_FENTRY	0
#define RUST_FSESSION_LIST_FEXIT	1
#define RUST_FSESSION_LIST_FMOD_RET	2

/* struct rust_fsession_case_prog, traits */
#define RUST_FSESSION_PROG_SESSION	(1 << 0) /* fsession */
#define RUST_FSESSION_PROG_MULTI	(1 << 1) /* the _MULTI attach type of its kind */
#define RUST_FSESSION_PROG_COOKIE	(1 << 2) /* calls bpf_session_cookie() */
#define RUST_FSESSION_PROG_SLEEPABLE	(1 << 3)
#define RUST_FSESSION_PROG_INTERPRETED	(1 << 4) /* not jited */
#define RUST_FSESSION_PROG_LSM		(1 << 5) /* runs without recursion check */
#define RUST_FSESSION_PROG_LSM_CGROUP	(1 << 6)

/* Most programs of a case. */
#define RUST_FSESSION_CASE_MAX_PROGS	108
/* Most arguments of a case's function. */
#define RUST_FSESSION_CASE_MAX_ARGS	12

struct rust_fsession_case_prog {
	__u64 bpf_cookie;
	/*
	 * Where the program's code begins, in bytes from the image's first.
	 * 0: some function of the kernel. With call-depth tracking only 0 is
	 * allowed, because the kernel reads the code.
	 */
	__s64 entry;
	__u32 list;
	__u32 traits;
};

struct rust_fsession_case {
	/* In. */
	__u64 progs;		/* nr_progs records of struct rust_fsession_case_prog */
	__u64 rust_image;	/* a page for the image of each builder, 0: not wanted */
	__u64 c_image;
	__u32 nr_progs;
	__u32 flags;		/* BPF_TRAMP_F_* */
	__u32 endbr;		/* 1: the traced function begins with an ENDBR */
	__u32 nr_args;
	__s32 arena_prog_fd;	/* a tracing program with an arena, -1: none */
	__u8 arg_size[RUST_FSESSION_CASE_MAX_ARGS];
	__u8 arg_flags[RUST_FSESSION_CASE_MAX_ARGS];
	/* Out. */
	__s32 rust_size;	/* bytes that the Rust builder measures, or a negative errno */
	__s32 rust_ret;		/* the same of the image that it builds */
	__s32 c_size;		/* arch_bpf_trampoline_size() */
	__s32 c_ret;		/* arch_prepare_bpf_trampoline() */
	__u32 verdict;		/* RUST_FSESSION_REFERENCE_*; NONE: C must not be asked */
	__s32 differs_at;	/* first byte that differs, -1: something else */
	__u32 reserved;		/* must be 0 */
};

/*
 * E2BIG	more programs on one list than a trampoline takes
 * EBADF	arena_prog_fd is not an open descriptor
 * EINVAL	what no caller in the kernel would ask for
 * ENOMEM	also where the C builder had no memory: nothing was compared
 * EPERM	an image is wanted, and the opener may not see addresses
 * EOPNOTSUPP	this kernel or its configuration does not have it
 */
#define RUST_FSESSION_IOC_COMPARE	_IOWR(0xbf, 4, struct rust_fsession_case)

#endif /* _UAPI_RUST_FSESSION_H */
