// SPDX-License-Identifier: GPL-2.0

//! Programs that cannot be loaded: the error and the verifier's words are what
//! a user has to find out with.

use std::os::fd::AsFd;
use std::sync::Mutex;

use anyhow::{bail, ensure, Context, Result};
use libbpf_rs::{set_print, ErrorKind, PrintLevel};

use crate::bpf;
use crate::harness::Env;
use crate::probe::Kind;

tests! {
    refused_is_return: "bpf_session_is_return() in other programs",
    refused_cookie: "bpf_session_cookie() in other programs",
    refused_answer: "a session that returns something",
    refused_cookie_end: "reading past the end of a session cookie",
    refused_argument_end: "reading past the return value",
    refused_write: "writing an argument",
    refused_context: "a session kfunc on something else than its context",
    refused_denied: "functions that the kernel denies to tracing",
    refused_noreturn: "functions that never return",
    refused_missing: "a function that is not there",
    refused_sleepable: "a sleepable session where nothing may sleep",
    refused_fmod_ret: "fmod_ret where nothing may be changed",
    refused_arguments: "a function with 13 arguments",
    refused_large: "a struct of 24 bytes as argument",
    refused_struct_ret: "a struct as return value",
    refused_variadic: "a function with variable arguments",
    refused_words: "seven structs that make 14 words: no image",
    refused_notrace: "a function without ftrace's call: no image",
}

/// What libbpf had to say: the verifier's log among it.
static SAID: Mutex<String> = Mutex::new(String::new());

fn said() -> String {
    let mut said = SAID.lock().expect("nothing panics under the lock");
    std::mem::take(&mut said)
}

/// Loads the program `name` of `refused.bpf.c`, perhaps for another target,
/// which must fail with these words.
fn refused(
    env: &Env,
    name: &str,
    target: Option<&str>,
    kind: ErrorKind,
    words: &str,
) -> Result<()> {
    set_print(Some((PrintLevel::Warn, |_, text| {
        SAID.lock()
            .expect("nothing panics under the lock")
            .push_str(&text);
    })));
    let mut open = bpf::open(&env.bpf, "refused")?;
    said();
    let loaded = match target {
        Some(target) => bpf::load_for(open, name, target).map(drop),
        None => {
            bpf::pick(&mut open, |prog| prog == name);
            open.load().map(drop).map_err(Into::into)
        }
    };
    let (Err(err), log) = (loaded, said()) else {
        bail!("{name} was loaded");
    };
    let what = match target {
        Some(target) => format!("{name} for {target}"),
        None => name.to_owned(),
    };
    let found = err.downcast_ref::<libbpf_rs::Error>();
    let found = found.with_context(|| format!("{what}: {err:#}"))?.kind();
    check_eq!(found, kind, "{what}: {log}");
    ensure!(log.contains(words), "{what}: no '{words}' in '{log}'");
    Ok(())
}

const OTHERS: [&str; 6] = ["fentry", "fexit", "fmod_ret", "tp_btf", "kprobe", "tc"];

/// The kfunc is not for programs of this kind.
fn kfunc(env: &Env, prefix: &str, name: &str) -> Result<()> {
    for other in OTHERS {
        let program = format!("{prefix}_{other}");
        let words = format!("calling kernel function {name} is not allowed");
        refused(env, &program, None, ErrorKind::PermissionDenied, &words)?;
    }
    Ok(())
}

fn refused_is_return(env: &Env) -> Result<()> {
    kfunc(env, "is_return", "bpf_session_is_return")
}

fn refused_cookie(env: &Env) -> Result<()> {
    kfunc(env, "cookie", "bpf_session_cookie")
}

fn invalid(env: &Env, name: &str, words: &str) -> Result<()> {
    refused(env, name, None, ErrorKind::InvalidInput, words)
}

fn denied(env: &Env, name: &str, words: &str) -> Result<()> {
    refused(env, name, None, ErrorKind::PermissionDenied, words)
}

fn refused_answer(env: &Env) -> Result<()> {
    invalid(env, "returns_1", "should have been in [0, 0]")
}

fn refused_cookie_end(env: &Env) -> Result<()> {
    denied(env, "cookie_past_end", "mem_size=8")
}

fn refused_argument_end(env: &Env) -> Result<()> {
    denied(env, "argument_past_end", "bpf_fentry_test1")
}

fn refused_write(env: &Env) -> Result<()> {
    denied(env, "writes_argument", "invalid bpf_context access")
}

fn refused_context(env: &Env) -> Result<()> {
    invalid(env, "wrong_context", "expected pointer to ctx")
}

fn for_target(env: &Env, name: &str, target: &str, words: &str) -> Result<()> {
    refused(env, name, Some(target), ErrorKind::InvalidInput, words)
}

fn refused_denied(env: &Env) -> Result<()> {
    for name in ["plain_fentry", "plain_fexit", "plain_session"] {
        let words = "Attaching tracing programs to function '__rcu_read_lock' is rejected.";
        for_target(env, name, "__rcu_read_lock", words)?;
    }
    Ok(())
}

fn refused_noreturn(env: &Env) -> Result<()> {
    for target in ["do_exit", "__x64_sys_exit_group"] {
        for name in ["plain_fexit", "plain_session"] {
            let words = format!("to __noreturn function '{target}' is rejected.");
            for_target(env, name, target, &words)?;
        }
    }
    Ok(())
}

fn refused_missing(env: &Env) -> Result<()> {
    // Already libbpf does not find it.
    let open = bpf::open(&env.bpf, "refused")?;
    let loaded = bpf::load_for(open, "plain_session", "no_such_function_at_all");
    ensure!(loaded.is_err(), "a program for nothing was loaded");
    Ok(())
}

fn refused_sleepable(env: &Env) -> Result<()> {
    for_target(
        env,
        "plain_session_s",
        "bpf_fentry_test2",
        "is not sleepable",
    )
}

fn refused_fmod_ret(env: &Env) -> Result<()> {
    for_target(
        env,
        "plain_fmod_ret",
        "bpf_fentry_test2",
        "() is not modifiable",
    )
}

/// Every kind of program on a function whose prototype is beyond the images.
fn prototype(env: &Env, target: &str, words: &str) -> Result<()> {
    env.targets()?;
    for name in ["plain_fentry", "plain_fexit", "plain_session"] {
        for_target(env, name, target, words)?;
    }
    Ok(())
}

fn refused_arguments(env: &Env) -> Result<()> {
    prototype(env, "targets_no_args_13", "has 13 arguments. Too many.")
}

fn refused_large(env: &Env) -> Result<()> {
    prototype(env, "targets_no_large", "arg0 type STRUCT is unsupported.")
}

fn refused_struct_ret(env: &Env) -> Result<()> {
    let words = "return type STRUCT is unsupported.";
    prototype(env, "targets_no_struct_ret", words)
}

fn refused_variadic(env: &Env) -> Result<()> {
    let words = "with variable args is unsupported.";
    prototype(env, "targets_no_variadic", words)
}

/// Programs can be loaded for the function, but there can be no image.
fn no_image(env: &Env, target: &str, check: fn(std::io::Result<()>) -> Result<()>) -> Result<()> {
    env.targets()?;
    for (kind, name) in [
        (Kind::Fentry, "plain_fentry"),
        (Kind::Session, "plain_session"),
    ] {
        let open = bpf::open(&env.bpf, "refused")?;
        let object = bpf::load_for(open, name, target)?;
        let prog = bpf::fd(&object, name)?;
        let device = env.device()?;
        check(device.add(prog.as_fd(), 0))?;
        check_eq!(device.info()?.nr_progs(), 0, "programs after the error");
        // A link says that there is none in the same way, or in its own.
        let link = bpf::link(prog.as_fd(), kind.attach_type(), 0);
        ensure!(link.is_err(), "a link to {target} was made");
    }
    Ok(())
}

fn refused_words(env: &Env) -> Result<()> {
    no_image(env, "targets_no_words", |added| {
        check_errno!(added, EOPNOTSUPP, "14 words of arguments");
        Ok(())
    })
}

fn refused_notrace(env: &Env) -> Result<()> {
    no_image(env, "targets_no_trace", |added| {
        check_errno!(added, EINVAL, "a function without ftrace's call");
        Ok(())
    })
}
