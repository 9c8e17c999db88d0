/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one table of kernel functions that this module calls and that are not
 * exported to modules:
 *
 *	CALL(return type, name, (parameters), (arguments))
 *	CALL_BODY(return type, name, (parameters), (arguments))
 *
 * Each becomes a static call. Its address is looked up when the module is
 * loaded and patched into the call site, so that the call is a direct one: an
 * indirect call would fault on a CPU with IBT, where the kernel has sealed the
 * functions whose address it never takes itself.
 *
 * CALL_BODY() enters the function behind its ftrace site, as a trampoline image
 * enters the function that it traces. The hooks redirect these functions at that
 * site, so the module's own calls must not pass it.
 */
CALL(void *, arch_alloc_bpf_trampoline,
     (unsigned int size),
     (size))
CALL(void, arch_free_bpf_trampoline,
     (void *image, unsigned int size),
     (image, size))
CALL_BODY(int, arch_prepare_bpf_trampoline,
	  (struct bpf_tramp_image *im, void *image, void *image_end,
	   const struct btf_func_model *m, u32 flags, struct bpf_tramp_nodes *tnodes,
	   void *func_addr),
	  (im, image, image_end, m, flags, tnodes, func_addr))
CALL_BODY(int, arch_bpf_trampoline_size,
	  (const struct btf_func_model *m, u32 flags, struct bpf_tramp_nodes *tnodes,
	   void *func_addr),
	  (m, flags, tnodes, func_addr))
CALL(u64, bpf_arena_get_kern_vm_start,
     (struct bpf_arena *arena),
     (arena))
CALL(void *, bpf_arch_text_copy,
     (void *dst, void *src, size_t len),
     (dst, src, len))
CALL(int, bpf_arch_text_poke,
     (void *ip, enum bpf_text_poke_type old_t, enum bpf_text_poke_type new_t,
      void *old_addr, void *new_addr),
     (ip, old_t, new_t, old_addr, new_addr))
CALL_BODY(int, bpf_fixup_kfunc_call,
	  (struct bpf_verifier_env *env, struct bpf_insn *insn, struct bpf_insn *insn_buf,
	   int insn_idx, int *cnt),
	  (env, insn, insn_buf, insn_idx, cnt))
CALL(int, bpf_check_attach_target,
     (struct bpf_verifier_log *log, const struct bpf_prog *prog,
      const struct bpf_prog *tgt_prog, u32 btf_id,
      struct bpf_attach_target_info *tgt_info),
     (log, prog, tgt_prog, btf_id, tgt_info))
CALL(void, bpf_image_ksym_add,
     (struct bpf_ksym *ksym),
     (ksym))
CALL(void, bpf_image_ksym_del,
     (struct bpf_ksym *ksym),
     (ksym))
CALL(int, bpf_jit_charge_modmem,
     (u32 size),
     (size))
CALL(void, bpf_jit_uncharge_modmem,
     (u32 size),
     (size))
CALL(bool, bpf_jit_supports_fsession,
     (void),
     ())
#ifdef BTF_FMODEL_ARENA_ARG
CALL(u64, bpf_tramp_arena_base,
     (const struct btf_func_model *m, struct bpf_tramp_nodes *tnodes, u32 flags),
     (m, tnodes, flags))
#endif
CALL(bpf_trampoline_enter_t, bpf_trampoline_enter,
     (const struct bpf_prog *prog),
     (prog))
CALL(bpf_trampoline_exit_t, bpf_trampoline_exit,
     (const struct bpf_prog *prog),
     (prog))
#ifdef CONFIG_MITIGATION_RETHUNK
CALL(bool, cpu_wants_rethunk,
     (void),
     ())
#endif
#ifdef CONFIG_CFI
CALL(u32, cfi_get_func_hash,
     (void *func),
     (func))
CALL(int, cfi_get_func_arity,
     (void *func),
     (func))
#endif
CALL(int, ftrace_is_dead,
     (void),
     ())
CALL(unsigned long, ftrace_location,
     (unsigned long ip),
     (ip))
#ifdef CONFIG_X86_KERNEL_IBT
CALL(bool, is_endbr,
     (u32 *val),
     (val))
#endif
CALL(bool, kallsyms_show_value,
     (const struct cred *cred),
     (cred))
#ifdef CONFIG_MITIGATION_CALL_DEPTH_TRACKING
CALL(int, x86_call_depth_emit_accounting,
     (u8 **pprog, void *func, void *ip),
     (pprog, func, ip))
#endif
