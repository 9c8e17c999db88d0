// SPDX-License-Identifier: GPL-2.0

//! Registrations and the like, which are no allocations: a kprobe lets the calls of the
//! module fail, with what the function gives where it fails.

use std::io;

use anyhow::{ensure, Context, Result};
use libc::{EBUSY, EINVAL, ENODEV, ENOMEM, EPERM};

use super::ops::World;
use super::Report;
use crate::device::Device;
use crate::faults::{Fault, Faults};
use crate::harness::Env;
use crate::hooks;
use crate::kmod;
use crate::tests::module::{reload, unload};

/// Function, what it returns, and the errno that comes of it.
type Case = (&'static str, i64, i32);

const ADD: &[Case] = &[
    ("bpf_jit_charge_modmem", -(EPERM as i64), EPERM),
    ("arch_alloc_bpf_trampoline", 0, ENOMEM),
    ("percpu_ref_init", -(ENOMEM as i64), ENOMEM),
    ("try_module_get", 0, ENODEV),
    ("ftrace_set_filter_ip", -(ENOMEM as i64), ENOMEM),
    ("ftrace_set_filter_ip", -(EINVAL as i64), EINVAL),
    ("register_ftrace_direct", -(EBUSY as i64), EBUSY),
    ("register_ftrace_direct", -(ENOMEM as i64), ENOMEM),
    ("bpf_arch_text_copy", -(EINVAL as i64), EINVAL),
];

const MODIFY: &[Case] = &[
    ("bpf_jit_charge_modmem", -(EPERM as i64), EPERM),
    ("arch_alloc_bpf_trampoline", 0, ENOMEM),
    ("percpu_ref_init", -(ENOMEM as i64), ENOMEM),
    ("try_module_get", 0, ENODEV),
    ("modify_ftrace_direct", -(ENOMEM as i64), ENOMEM),
];

const HOOKS: &[Case] = &[
    ("ftrace_set_filter_ip", -(ENOMEM as i64), ENOMEM),
    ("register_ftrace_function", -(EBUSY as i64), EBUSY),
    ("register_ftrace_function", -(ENOMEM as i64), ENOMEM),
];

const INIT: &[Case] = &[
    ("register_kprobe", -(EINVAL as i64), EINVAL),
    ("register_kprobe", -(ENOMEM as i64), ENOMEM),
    ("alloc_workqueue_noprof", 0, ENOMEM),
    ("misc_register", -(EBUSY as i64), EBUSY),
    ("misc_register", -(ENOMEM as i64), ENOMEM),
];

/// Lets one call of the module fail while `op` runs. `None` where it makes none.
fn with_fault<T>(
    faults: &Faults,
    case: &Case,
    op: impl FnOnce() -> io::Result<T>,
) -> Result<Option<io::Result<T>>> {
    let fault = Fault {
        function: case.0,
        retval: case.1,
        times: 1,
        caller: "rust_fsession",
        ..Default::default()
    };
    faults
        .inject(fault)
        .with_context(|| format!("no kprobe on {}", case.0))?;
    let result = op();
    let left = faults.left()?;
    faults.stop()?;
    Ok((left == 0).then_some(result))
}

fn check(
    report: &mut Report,
    case: &Case,
    result: Option<io::Result<()>>,
    right: impl FnOnce() -> Result<()>,
) {
    let Some(result) = result else {
        println!("  {}() is not called there", case.0);
        return;
    };
    let errno = super::errno(&result);
    let right = (|| {
        ensure!(errno == case.2, "errno {errno} instead of {}", case.2);
        right()
    })();
    report.count(case.0, &result, right);
}

/// Walks all of them.
pub fn walks(env: &Env, world: &World<'_>) -> Result<Vec<Report>> {
    let faults = Faults::load(env)?;
    let mut add = Report::new("registrations, ADD");
    for case in ADD {
        let device = Device::open()?;
        let result = with_fault(&faults, case, || device.add_only(world.first.fd(), 0))?;
        check(&mut add, case, result, || {
            ensure!(device.info()?.nr_progs() == 0, "a program is there");
            world.check_runs(false, false)?;
            device
                .add(world.first.fd(), 0)
                .context("adding afterwards")?;
            world.check_runs(true, false)?;
            Ok(device.remove(world.first.fd())?)
        });
    }
    println!("{add}");
    let mut modify = Report::new("registrations, change");
    for case in MODIFY {
        let device = Device::open()?;
        device.add(world.first.fd(), 0)?;
        let before = device.info()?.image_addr;
        let result = with_fault(&faults, case, || device.add_only(world.second.fd(), 0))?;
        check(&mut modify, case, result, || {
            ensure!(device.info()?.image_addr == before, "another image");
            world.check_runs(true, false)?;
            device
                .add(world.second.fd(), 0)
                .context("adding afterwards")?;
            world.check_runs(true, true)
        });
    }
    // Detaching never fails, whatever does.
    for case in MODIFY {
        let device = Device::open()?;
        device.add(world.first.fd(), 0)?;
        device.add(world.second.fd(), 0)?;
        let case = &(case.0, case.1, 0);
        let result = with_fault(&faults, case, || device.remove_only(world.second.fd()))?;
        check(&mut modify, case, result, || world.check_runs(true, false));
    }
    println!("{modify}");
    let mut hooks = Report::new("registrations, hooks");
    for case in HOOKS {
        reload(env)?;
        let result = with_fault(&faults, case, || hooks::write("takeover"))?;
        check(&mut hooks, case, result, || {
            ensure!(hooks::mode()? == "off\n", "the mode is {:?}", hooks::mode());
            hooks::write("takeover").context("afterwards")?;
            Ok(hooks::write("off")?)
        });
    }
    println!("{hooks}");
    let mut init = Report::new("registrations, init");
    for case in INIT {
        unload()?;
        let result = with_fault(&faults, case, || kmod::load(&env.module))?;
        check(&mut init, case, result, || {
            ensure!(!kmod::is_loaded(), "it is loaded");
            kmod::load(&env.module).context("loading afterwards")
        });
        if !kmod::is_loaded() {
            kmod::load(&env.module)?;
        }
    }
    println!("{init}");
    Ok(vec![add, modify, hooks, init])
}
