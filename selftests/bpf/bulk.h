/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the bulk programs and the runner tell each other. The mirror in Rust is
 * runner/src/workload/bulk.rs.
 */
#ifndef _SELFTESTS_BULK_H
#define _SELFTESTS_BULK_H

#define BULK_PLACES	1024

struct bulk_seen {
	__u64 entries;
	__u64 returns;
	__u64 wrong;	/* what a session found that it should not */
	__u64 alone;	/* returns of a session that did not see the entry */
	__u64 nr_args;
	__u64 ret;
	__u64 ip;
};

#endif /* _SELFTESTS_BULK_H */
