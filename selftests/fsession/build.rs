// SPDX-License-Identifier: GPL-2.0

//! Builds the BPF program of `fsession trace`, with libbpf's headers as they come with libbpf-sys.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "bpf/trace.bpf.c";

fn main() {
    for input in [SOURCE, "bpf/trace.h", "bpf/kernel.h"] {
        println!("cargo:rerun-if-changed={input}");
    }
    println!("cargo:rerun-if-env-changed=CLANG");

    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let headers = env::var_os("DEP_BPF_INCLUDE").expect("libbpf-sys tells where its headers are");
    let status = Command::new(&clang)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g"])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"])
        .args(["-Wno-missing-declarations", "-D__TARGET_ARCH_x86"])
        // The path of the tree is nobody's business.
        .arg("-fdebug-compilation-dir=.")
        .arg("-isystem")
        .arg(headers)
        .args(["-c", SOURCE, "-o"])
        .arg(out.join("trace.bpf.o"))
        .status();
    match status {
        Ok(status) if status.success() => (),
        Ok(_) => panic!("{clang} does not compile {SOURCE}: clang 15 or newer is needed"),
        Err(err) => panic!("cannot run {clang}: {err}. Install clang, or set CLANG to it"),
    }
}
