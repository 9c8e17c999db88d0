/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the test targets and the runner tell each other. The mirror in Rust is
 * runner/src/targets.rs.
 */
#ifndef _RUST_FSESSION_TARGETS_H
#define _RUST_FSESSION_TARGETS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TARGETS_NAME_LEN	32
#define TARGETS_NR_WORDS	12

/*
 * Call a function. The words travel as the calling convention has them,
 * whatever the function takes: six in registers, the others on the stack.
 *
 * ENOENT: there is no such function.
 */
struct targets_call {
	char function[TARGETS_NAME_LEN];
	__u64 words[TARGETS_NR_WORDS];
	__u64 ret;		/* what was in rax when it returned */
};

#define TARGETS_IOC_CALL	_IOWR(0xbf, 0x20, struct targets_call)
/* Let one task out of targets_sleep(). */
#define TARGETS_IOC_WAKE	_IO(0xbf, 0x21)

#endif /* _RUST_FSESSION_TARGETS_H */
