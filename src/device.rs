// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_fsession`: the attach path and the comparison for user space.

use crate::{
    attach::Trampoline,
    compare::{
        Bench,
        Case, //
    },
    kapi::{
        bpf_prog::BpfProg,
        capability,
        errno::unsupported,
        miscdevice::DeviceWithContext,
        uapi, //
    },
    platform::Platform,
};
use kernel::{
    cred::Credential,
    fs::{
        File,
        Kiocb, //
    },
    iov::IovIterDest,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// An open descriptor: one trampoline, and a bench from the first comparison on.
#[pin_data]
pub(crate) struct Descriptor {
    platform: Arc<Platform>,
    opener: ARef<Credential>,
    trampoline: Pin<KBox<Trampoline>>,
    #[pin]
    bench: Mutex<Option<Bench>>,
}

impl Descriptor {
    /// The device's name.
    pub(crate) const OPTIONS: MiscDeviceOptions = MiscDeviceOptions {
        name: c"rust_fsession",
    };

    /// Whether addresses, and code that holds some, may be read here: as for those of jited
    /// programs, the opener's rights decide.
    fn shows_addresses(&self) -> bool {
        capability::may_see_addresses(&self.opener, self.platform.symbols)
    }

    fn add(&self, arg: uapi::Add) -> Result {
        if arg.flags != 0 {
            return Err(EINVAL);
        }
        self.trampoline
            .add(BpfProg::from_fd(arg.prog_fd)?, arg.bpf_cookie)
            // The errno of C, for which user space has no name.
            .map_err(|e| if e == ENOTSUPP { unsupported() } else { e })
    }

    fn remove(&self, arg: uapi::Remove) -> Result {
        if arg.flags != 0 {
            return Err(EINVAL);
        }
        self.trampoline.remove(&BpfProg::from_fd(arg.prog_fd)?)
    }
}

/// Comparing builders.
impl Descriptor {
    fn compare(&self, raw: &mut uapi::Case) -> Result {
        if raw.nr_progs > uapi::CASE_MAX_PROGS {
            return Err(EINVAL);
        }
        if (raw.rust_image != 0 || raw.c_image != 0) && !self.shows_addresses() {
            return Err(EPERM);
        }
        let mut progs = KVec::new();
        let from = UserPtr::from_addr(usize::try_from(raw.progs)?);
        let len = size_of::<uapi::CaseProg>() * usize::try_from(raw.nr_progs)?;
        let mut reader = UserSlice::new(from, len).reader();
        for _ in 0..raw.nr_progs {
            progs.push(reader.read::<uapi::CaseProg>()?, GFP_KERNEL)?;
        }

        let mut bench = self.bench.lock();
        let codes = {
            let bench = match &mut *bench {
                Some(bench) => bench,
                none => none.insert(Bench::new(self.platform.clone())?),
            };
            let case = Case::new(raw, &progs, bench, &self.platform)?;
            bench.run(&case, raw)?
        };
        // User memory may be long in coming, and who waits for the bench cannot be killed.
        drop(bench);
        write_image(raw.rust_image, &codes.rust)?;
        write_image(raw.c_image, &codes.c)
    }
}

/// Writes an image to user space, unless `to` is 0.
fn write_image(to: u64, code: &[u8]) -> Result {
    if to == 0 {
        return Ok(());
    }
    let to = UserPtr::from_addr(usize::try_from(to)?);
    UserSlice::new(to, code.len()).writer().write_slice(code)
}

impl DeviceWithContext for Descriptor {
    type Context = Arc<Platform>;

    fn open_with(platform: &Arc<Platform>, file: &File) -> Result<Pin<KBox<Self>>> {
        if !capability::may_trace() {
            return Err(EPERM);
        }
        let trampoline = Trampoline::new(platform.clone())?;
        KBox::pin_init(
            pin_init!(Self {
                platform: platform.clone(),
                opener: file.cred().into(),
                trampoline,
                bench <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }
}

#[vtable]
impl MiscDevice for Descriptor {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        // Descriptors are opened by `open_with()`.
        Err(ENODEV)
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserPtr::from_addr(arg);
        match cmd {
            uapi::IOC_ADD => {
                let user = UserSlice::new(arg, size_of::<uapi::Add>());
                me.add(user.reader().read()?)?;
            }
            uapi::IOC_REMOVE => {
                let user = UserSlice::new(arg, size_of::<uapi::Remove>());
                me.remove(user.reader().read()?)?;
            }
            uapi::IOC_INFO => {
                let user = UserSlice::new(arg, size_of::<uapi::Info>());
                user.writer()
                    .write(&me.trampoline.info(me.shows_addresses()))?;
            }
            uapi::IOC_COMPARE => {
                let user = UserSlice::new(arg, size_of::<uapi::Case>());
                let (mut reader, mut writer) = user.reader_writer();
                let mut case = reader.read()?;
                me.compare(&mut case)?;
                writer.write(&case)?;
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let me = kiocb.file();
        if !me.shows_addresses() {
            return Err(EPERM);
        }
        let code = me.trampoline.code()?;
        iov.simple_read_from_buffer(kiocb.ki_pos_mut(), &code)
    }
}
