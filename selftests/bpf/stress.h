/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of the stress and its actors tell each other. The mirror in
 * Rust is runner/src/stress/programs.rs.
 */
#ifndef _SELFTESTS_STRESS_H
#define _SELFTESTS_STRESS_H

#define STRESS_PLACES	1024

/* What one attachment sees. Its BPF cookie holds the place in the low 16 bits. */
struct stress_seen {
	__u64 user_addr;	/* sleepable programs read 8 bytes here, if not 0 */
	__u64 owner;		/* process whose calls are counted apart */
	__u64 entries;
	__u64 returns;
	__u64 own_entries;
	__u64 own_returns;
	__u64 wrong;		/* returns that found another cookie than their entry left */
	__u64 alone;		/* returns whose entry was not seen */
	__u64 lost;		/* entries of a task whose last entry has no return */
};

#endif /* _SELFTESTS_STRESS_H */
