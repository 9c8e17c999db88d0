# SPDX-License-Identifier: GPL-2.0
#
# The front door: Kbuild says how the module is built, scripts/ do the rest.

targets := modules modules_install kernel run test vmtest vng kselftest kunit compare \
	matrix badinput faults stress bench hostbench hosttest report report-test captures fuzz mutants hostmutants teeth lint fmt shell \
	rust-analyzer update clean distclean

.PHONY: help $(targets)
.NOTPARALLEL:

$(targets):
	@$(CURDIR)/scripts/main.sh $@

help:
	@sed -n 's/^#[|] \?//p' $(CURDIR)/Makefile

#| Targets
#|   run              boot a VM and show a session on a Rust-built trampoline
#|   test             everything that must hold: lint, hosttest, vmtest, matrix,
#|                    a short stress and a short bench
#|   vmtest           the selftests, in a VM
#|   vng              the same in a VM of virtme-ng
#|   kselftest        the same on this machine's kernel
#|   kunit            the host tests that can, in a kernel with CONFIG_KUNIT=y
#|   compare          both builders, image by image, in a VM
#|   badinput         random calls of device and debugfs, CALLS=1000000 or SECONDS=,
#|                    in a VM: only documented errnos (KCOV=1: what they reach)
#|   faults           every allocation and registration made to fail, in a VM of
#|                    a kernel with fault injection
#|   matrix           the same on CPUs and kernels with other mitigations
#|   stress           everything at once, for SECONDS=60
#|   bench            what it costs, in instructions: tables, JSON and plots in doc/
#|                    (WHOLE=1: on as many functions at once as there are)
#|   hostbench        the builder by itself on this machine, in time
#|   hosttest         tests of the parts that need no kernel
#|   report           run the selftests and make a page of them and of all images
#|   report-test      that page, used in headless Chromium
#|   captures         put what fsession shows into README.md
#|   fuzz             the builder on arbitrary input, for SECONDS=60
#|   mutants          break the module on purpose: do the selftests notice?
#|   teeth            break lifetimes and locking: does the stress find it?
#|   hostmutants      the same by cargo-mutants: do the host tests notice?
#|   lint             rustfmt, shellcheck, clippy, a build with W=1
#|   shell            a shell in the VM, with the module loaded
#|
#|   kernel           get that kernel ready, and no more
#|   modules          build rust_fsession.ko (default)
#|   modules_install  install it on this machine, or into INSTALL_MOD_PATH=
#|   rust-analyzer    write rust-project.json for an editor
#|   fmt              format the Rust sources
#|   clean            remove what was built in build/
#|
#|   update           look for newer Debian kernels, drop unused caches
#|   distclean        clean, and remove the caches
#|
#| The kernel
#|   KVER=7.3         Debian's newest kernel of that series
#|                    (default: 7.2; for tests 7.2 and 7.3)
#|   FLAVOUR=rt       another of its flavours: rt or cloud
#|   KERNEL=debug     one built from its source, which takes half an hour once:
#|                    debug (KASAN, lockdep, fault injection) or cfi
#|   KDIR=tree        a configured and built kernel tree of your own
#|
#| Building, as everywhere in Kbuild
#|   V=1 W=1 CLIPPY=1 LLVM= CC= RUSTC= KCFLAGS= KRUSTFLAGS= INSTALL_MOD_PATH=
#|   MO=dir           where the module is built (build/<kernel release>)
#|
#| The virtual machine
#|   T="name..."      only these selftests, mutants or planted faults (of hostmutants:
#|                    files, T="frame.rs")
#|   ACCEL=tcg        kvm or tcg (default: kvm if it works)
#|   CPU=model SMP=2 MEM=1024 CMDLINE="kernel options" TIMEOUT=seconds
#|
#| Comparing
#|   CASES=n SEED=n   how many cases, and what the random ones grow from
#|   CASE=number      only this one, shown whole
#|
#| The stress
#|   SECONDS=n SEED=n how long, and what all choices grow from
#|   ACTORS="name..." only these (stress --list in the VM tells them)
#|
#| The build root
#|   XDG_CACHE_HOME   its rust_fsession/ holds build root and kernels (~/.cache)
#|   MIRROR=          a Debian mirror (http://deb.debian.org/debian)
