/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the demo's sessions tell the fsession command. The mirror in Rust is
 * runner/src/bin/fsession/demo.rs.
 */
#ifndef _SELFTESTS_DEMO_H
#define _SELFTESTS_DEMO_H

enum demo_function {
	DEMO_WRITE,
	DEMO_READ,
	DEMO_SLEEP,
};

struct demo_event {
	__u32 function;
	__u32 is_return;
	__u64 amount;		/* bytes to read or write, nanoseconds to sleep */
	__s64 ret;
	__u64 duration;		/* nanoseconds since entry, by the session cookie */
	char file[32];		/* name of the file */
};

#endif /* _SELFTESTS_DEMO_H */
