//! Threads: there is one. A futex wait is where it parks, and so where the image sleeps.

use super::{ERRNO, errno, fail, process, time::TimeSpec};
use crate::{clock, idle, limits::THREAD_KEYS_MAX, target};
use std::{
    ffi::{c_int, c_long, c_void},
    ptr::null,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

const SYS_GETTID: c_long = 186;
const SYS_FUTEX: c_long = 202;
const SYS_GETRANDOM: c_long = 318;

const FUTEX_WAIT: usize = 0;
const FUTEX_WAKE: usize = 1;
const FUTEX_WAIT_BITSET: usize = 9;
const FUTEX_PRIVATE_FLAG: usize = 128;
const FUTEX_CLOCK_REALTIME: usize = 256;

/// The C library's door to system calls it has no function for; std uses it for futexes and random bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
) -> c_long {
    match number {
        // SAFETY: the caller passes the arguments of futex(2).
        SYS_FUTEX => unsafe { futex(first as *mut u32, second, third as u32, fourth as *const TimeSpec) },
        SYS_GETTID => 1,
        // SAFETY: the caller passes the arguments of getrandom(2).
        SYS_GETRANDOM => unsafe { process::getrandom(first as *mut u8, second, third as u32) as c_long },
        _ => c_long::from(fail(errno::ENOSYS)),
    }
}

/// Only the waiting thread itself can change the word, from within the idle hook, so waking is nothing to do.
///
/// # Safety
/// `word` must be valid, and `timeout` null or valid.
unsafe fn futex(word: *mut u32, operation: usize, expected: u32, timeout: *const TimeSpec) -> c_long {
    let command = operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    match command {
        FUTEX_WAKE => return 0,
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {}
        _ => return c_long::from(fail(errno::ENOSYS)),
    }
    // SAFETY: by the caller's contract.
    let (word, timeout) = unsafe { (AtomicU32::from_ptr(word), timeout.as_ref()) };
    let deadline = timeout.map(|time| match command {
        // futex(2): relative here, absolute there.
        FUTEX_WAIT => clock::monotonic().saturating_add(time.nanoseconds()),
        _ if operation & FUTEX_CLOCK_REALTIME != 0 => {
            let left = time.nanoseconds().saturating_sub(clock::wall());
            clock::monotonic().saturating_add(left)
        }
        _ => time.nanoseconds(),
    });
    if deadline.is_some_and(|deadline| clock::monotonic() >= deadline) {
        return c_long::from(fail(errno::ETIMEDOUT));
    }
    while word.load(SeqCst) == expected {
        match idle::turn(deadline) {
            Some(false) => {}
            // Perhaps for nothing: futex(2) allows it, and who waits must look again, at the time too.
            Some(true) => return 0,
            None => panic!("deadlock: the only thread waits for itself"),
        }
    }
    0
}

struct Keys {
    created: usize,
    values: [*const c_void; THREAD_KEYS_MAX],
}

static mut KEYS: Keys = Keys { created: 0, values: [null(); THREAD_KEYS_MAX] };

/// Destructors never run: the thread ends with the image.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_key_create(key: *mut u32, _destructor: *const c_void) -> c_int {
    // SAFETY: there is one thread; the caller passes a place for the key.
    unsafe {
        if KEYS.created == THREAD_KEYS_MAX {
            return errno::EAGAIN;
        }
        key.write(KEYS.created as u32);
        KEYS.created += 1;
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn pthread_key_delete(_key: u32) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn pthread_setspecific(key: u32, value: *const c_void) -> c_int {
    // SAFETY: there is one thread, and no other reference into KEYS is alive.
    let keys = unsafe { &mut *&raw mut KEYS };
    match keys.values.get_mut(key as usize) {
        Some(slot) => *slot = value,
        None => return errno::EINVAL,
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn pthread_getspecific(key: u32) -> *const c_void {
    // SAFETY: there is one thread, and no mutable reference into KEYS is alive.
    let keys = unsafe { &*&raw const KEYS };
    keys.values.get(key as usize).copied().unwrap_or(null())
}

#[unsafe(no_mangle)]
extern "C" fn pthread_self() -> usize {
    1
}

#[unsafe(no_mangle)]
extern "C" fn gettid() -> c_int {
    1
}

/// Nothing to yield to but the devices.
#[unsafe(no_mangle)]
extern "C" fn sched_yield() -> c_int {
    target::wait(Some(0));
    0
}

/// Functions that fail by returning an error number.
macro_rules! refused {
    ($($name:ident = $error:expr;)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name() -> c_int {
            // SAFETY: there is one thread.
            unsafe { ERRNO = $error };
            $error
        })*
    };
}

refused! {
    pthread_attr_destroy = errno::ENOSYS;
    pthread_attr_getguardsize = errno::ENOSYS;
    pthread_attr_getstack = errno::ENOSYS;
    pthread_attr_init = errno::ENOSYS;
    pthread_attr_setstacksize = errno::ENOSYS;
    pthread_create = errno::EAGAIN;
    pthread_detach = errno::EINVAL;
    pthread_getattr_np = errno::ENOSYS;
    pthread_join = errno::EINVAL;
    pthread_setname_np = errno::ENOSYS;
}
