// SPDX-License-Identifier: GPL-2.0
/*
 * What `fsession trace` attaches to each function: a session that records
 * entry and return. All copies of it are the same, the attach cookie says
 * which function it is.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "trace.h"

char _license[] SEC("license") = "GPL";

/* Linux 7.0 and newer. */
extern bool bpf_session_is_return(void *ctx) __ksym;
extern __u64 *bpf_session_cookie(void *ctx) __ksym;

const volatile struct trace_config config SEC(".rodata.config");
struct trace_counts counts SEC(".bss.counts");

/* The command sets how large these are. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trace_function);
} functions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUCKETS);
	__type(key, __u32);
	__type(value, __u64);
} histogram SEC(".maps");

/* An enum trace_mark. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} marks SEC(".maps");

static __always_inline bool is_wanted(void)
{
	__u32 *mark = bpf_task_storage_get(&marks, bpf_get_current_task_btf(), NULL, 0);

	if (config.follow)
		return mark && *mark == MARK_TRACED;
	return !mark || *mark != MARK_OWN;
}

static __always_inline void read_text(struct bpf_dynptr *record, __u32 offset, __u64 addr,
				      const struct trace_text_at *at)
{
	struct trace_text *text = bpf_dynptr_data(record, offset, sizeof(*text));
	__u32 n;

	if (!text)
		return;
	text->len = -1;
	for (n = 0; n < MAX_STEPS && n < at->nr_steps; n++) {
		if (bpf_probe_read_kernel(&addr, sizeof(addr), (void *)(addr + at->steps[n])))
			return;
	}
	addr += at->last;
	/* Kernel addresses are those with the topmost bit set. */
	if ((__s64)addr < 0)
		text->len = bpf_probe_read_kernel_str(text->text, MAX_TEXT, (void *)addr);
	else if (!at->nr_steps && !at->last)
		text->len = bpf_probe_read_user_str(text->text, MAX_TEXT, (void *)addr);
}

static __always_inline void fill(struct trace_record *head, __u32 function, __u32 kind,
				 __u64 now, __u64 entered)
{
	__u64 ids = bpf_get_current_pid_tgid();

	head->time = now;
	head->entered = entered;
	head->function = function;
	head->kind = kind;
	head->tgid = ids >> 32;
	head->tid = (__u32)ids;
	head->cpu = bpf_get_smp_processor_id();
	head->nr_words = 0;
	head->nr_texts = 0;
	head->stack_bytes = 0;
	bpf_get_current_comm(head->comm, sizeof(head->comm));
}

/* Whether there is a record of it now. */
static __always_inline bool record_entry(void *ctx, __u32 number, struct trace_function *function,
					 __u64 now)
{
	__u32 nr_words = bpf_get_func_arg_cnt(ctx);
	__u32 size = sizeof(struct trace_record), at = size, n;
	struct bpf_dynptr record;
	struct trace_record *head;
	bool wants_texts = config.texts && function->nr_texts;

	if (nr_words > MAX_WORDS)
		nr_words = MAX_WORDS;
	size += nr_words * sizeof(__u64);
	if (wants_texts)
		size += function->nr_texts * sizeof(struct trace_text);
	if (config.stacks)
		size += MAX_FRAMES * sizeof(__u64);

	if (bpf_ringbuf_reserve_dynptr(&records, size, 0, &record))
		goto lost;
	head = bpf_dynptr_data(&record, 0, sizeof(*head));
	if (!head)
		goto lost;
	fill(head, number, KIND_ENTRY, now, now);
	head->nr_words = nr_words;

	for (n = 0; n < MAX_WORDS; n++) {
		__u64 *word, value = 0;

		if (n >= nr_words)
			break;
		bpf_get_func_arg(ctx, n, &value);
		word = bpf_dynptr_data(&record, at, sizeof(*word));
		if (word)
			*word = value;
		at += sizeof(*word);
	}

	if (wants_texts) {
		head->nr_texts = function->nr_texts;
		for (n = 0; n < MAX_WORDS; n++) {
			__u64 value = 0;

			if (!(function->texts & (1U << n)))
				continue;
			bpf_get_func_arg(ctx, n, &value);
			read_text(&record, at, value, &function->at[n]);
			at += sizeof(struct trace_text);
		}
	}

	if (config.stacks) {
		__u64 *frames = bpf_dynptr_data(&record, at, MAX_FRAMES * sizeof(__u64));

		if (frames)
			head->stack_bytes = bpf_get_stack(ctx, frames,
							  MAX_FRAMES * sizeof(__u64), 0);
	}

	bpf_ringbuf_submit_dynptr(&record, 0);
	return true;

lost:
	bpf_ringbuf_discard_dynptr(&record, 0);
	__sync_fetch_and_add(&counts.lost_entries, 1);
	return false;
}

static __always_inline void record_return(void *ctx, __u32 number, struct trace_function *function,
					  __u64 now, __u64 entered)
{
	__u32 size = sizeof(struct trace_record) + sizeof(__u64);
	struct trace_record *head;
	struct bpf_dynptr record;
	__u64 *word, value = 0;
	bool wants_text = config.texts && function->returns_text;

	if (wants_text)
		size += sizeof(struct trace_text);

	if (bpf_ringbuf_reserve_dynptr(&records, size, 0, &record))
		goto lost;
	head = bpf_dynptr_data(&record, 0, sizeof(*head));
	word = bpf_dynptr_data(&record, sizeof(*head), sizeof(*word));
	if (!head || !word)
		goto lost;
	fill(head, number, KIND_RETURN, now, entered);
	bpf_get_func_ret(ctx, &value);
	head->nr_words = 1;
	*word = value;
	if (wants_text) {
		head->nr_texts = 1;
		read_text(&record, sizeof(*head) + sizeof(*word), value,
			  &function->ret);
	}
	bpf_ringbuf_submit_dynptr(&record, 0);
	return;

lost:
	bpf_ringbuf_discard_dynptr(&record, 0);
	__sync_fetch_and_add(&counts.lost_returns, 1);
}

static __always_inline void count_duration(__u32 number, __u64 duration)
{
	__u32 bucket = 0, n;
	__u64 *count;

	for (n = 32; n; n >>= 1) {
		if (duration >> n) {
			duration >>= n;
			bucket += n;
		}
	}
	number = number * BUCKETS + bucket;
	count = bpf_map_lookup_elem(&histogram, &number);
	if (count)
		__sync_fetch_and_add(count, 1);
}

SEC("fsession")
int session(void *ctx)
{
	__u64 *cookie = bpf_session_cookie(ctx), entered = *cookie, now;
	__u32 number = bpf_get_attach_cookie(ctx);
	struct trace_function *function;

	/* The cookie is 0 until the entry has set it, and stays it for calls that are left out. */
	if (bpf_session_is_return(ctx)) {
		if (!entered)
			return 0;
		function = bpf_map_lookup_elem(&functions, &number);
		if (!function)
			return 0;
		now = bpf_ktime_get_ns();
		if (config.histogram)
			count_duration(number, now - entered);
		if (config.records)
			record_return(ctx, number, function, now, entered);
		return 0;
	}

	if (!is_wanted())
		return 0;
	function = bpf_map_lookup_elem(&functions, &number);
	if (!function)
		return 0;
	now = bpf_ktime_get_ns();
	if (!config.records || record_entry(ctx, number, function, now))
		*cookie = now;
	return 0;
}

/* A thread of the command is its own, a process that it forks is what it has started. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 *mark = bpf_task_storage_get(&marks, parent, NULL, 0), *new;

	if (!mark)
		return 0;
	new = bpf_task_storage_get(&marks, child, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!new)
		return 0;
	if (*mark == MARK_OWN)
		*new = parent->tgid == child->tgid ? MARK_OWN : MARK_STARTED;
	else
		*new = *mark;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	__u32 *mark = bpf_task_storage_get(&marks, task, NULL, 0);

	if (mark && *mark == MARK_STARTED)
		*mark = MARK_TRACED;
	return 0;
}
