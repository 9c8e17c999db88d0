/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the nested programs count. The mirror in Rust is
 * runner/src/workload/nested.rs.
 */
#ifndef _SELFTESTS_NESTED_H
#define _SELFTESTS_NESTED_H

/* Those on a BPF program take four: fentry, fexit, both halves of a session. */
enum nested_place {
	NESTED_SUB,
	NESTED_NEW_SUB,
	NESTED_TAIL,
	NESTED_TRACING_TAIL,
	NESTED_TRACED_TAIL,
	NESTED_ON_PLAIN = 8,
	NESTED_ON_SUB = 12,
	NESTED_ON_TAIL = 16,
	NESTED_ON_CALLS_TAIL = 20,
	NESTED_ON_NEW_SUB = 24,
	NESTED_PLACES = 32,
};

#endif /* _SELFTESTS_NESTED_H */
