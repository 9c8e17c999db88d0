/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What trace.bpf.c and the command tell each other. The mirror in Rust is
 * src/trace/record.rs.
 */
#ifndef _FSESSION_TRACE_H
#define _FSESSION_TRACE_H

/* MAX_BPF_FUNC_ARGS of the kernel. */
#define MAX_WORDS	12
#define MAX_FRAMES	32
#define MAX_STEPS	3
/* A string and its terminating 0. */
#define MAX_TEXT	124
/* Buckets of durations: number n counts those from 2^n ns. */
#define BUCKETS		64

/* Set before the programs are loaded: what is 0 is not in them. */
struct trace_config {
	__u32 follow;		/* only tasks with the mark MARK_TRACED */
	__u32 records;		/* a record for each entry and return */
	__u32 stacks;		/* with the stack of the entry */
	__u32 texts;		/* and with what pointers lead to */
	__u32 histogram;	/* count durations */
};

/*
 * Where the text of a pointer is: pointers to follow, each read at an offset
 * from the one before, and the offset from the last one. All 0 for a char *.
 */
struct trace_text_at {
	__u32 nr_steps;
	__u32 steps[MAX_STEPS];
	__u32 last;
};

/* One function, by the number that its program's attach cookie is. */
struct trace_function {
	__u32 texts;		/* bit n: word n of the arguments has a text */
	__u32 nr_texts;		/* bits set in it */
	__u32 returns_text;
	struct trace_text_at at[MAX_WORDS];
	struct trace_text_at ret;
};

/* What is known of a task. */
enum trace_mark {
	MARK_OWN	= 1,	/* the command's own, never traced */
	MARK_STARTED	= 2,	/* forked by the command, traced from its exec on */
	MARK_TRACED	= 3,	/* and everything that it forks */
};

enum trace_kind {
	KIND_ENTRY	= 0,
	KIND_RETURN	= 1,
};

/*
 * A record. Behind it are, of an entry: its words, a trace_text for each that
 * has one, MAX_FRAMES addresses if there are stacks. Of a return: the value, its
 * trace_text if it has one.
 */
struct trace_record {
	__u64 time;		/* ns since boot, without suspend */
	__u64 entered;		/* the time of the entry, which names the call */
	__u32 function;
	__u32 kind;
	__u32 tgid;
	__u32 tid;
	__u32 cpu;
	__u32 nr_words;
	__u32 nr_texts;
	__s32 stack_bytes;	/* of the addresses, negative: errno */
	char comm[16];
};

struct trace_text {
	__s32 len;		/* with the terminating 0, negative: errno */
	char text[MAX_TEXT];
};

/* Read while it goes on. */
struct trace_counts {
	__u64 lost_entries;	/* calls that found the ring buffer full */
	__u64 lost_returns;	/* calls whose return did */
};

#endif /* _FSESSION_TRACE_H */
