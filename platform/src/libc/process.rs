//! The process: its end, randomness, and the absence of signals, environment and users.

use super::{errno, fail};
use crate::{entropy, target};
use std::ffi::{c_char, c_int, c_long, c_void};

/// Exit status of an image that gave up. Source: `SOLO5_EXIT_ABORT` in Solo5 `include/solo5.h`.
const EXIT_ABORT: c_int = 255;

#[unsafe(no_mangle)]
extern "C" fn exit(status: c_int) -> ! {
    target::exit(status)
}

#[unsafe(no_mangle)]
extern "C" fn _exit(status: c_int) -> ! {
    target::exit(status)
}

#[unsafe(no_mangle)]
pub extern "C" fn abort() -> ! {
    target::exit(EXIT_ABORT)
}

/// # Safety
/// `bytes` must be writable for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(bytes: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: by the caller's contract.
    entropy::fill(unsafe { std::slice::from_raw_parts_mut(bytes, length) });
    length as isize
}

#[unsafe(no_mangle)]
extern "C" fn getenv(_name: *const c_char) -> *const c_char {
    std::ptr::null()
}

#[unsafe(no_mangle)]
extern "C" fn getauxval(_kind: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn getpid() -> c_int {
    1
}

/// Waits for a signal, and there are none: std calls it where a second thread would exit.
#[unsafe(no_mangle)]
extern "C" fn pause() -> c_int {
    crate::wait(None);
    fail(errno::EINTR)
}

const SC_PAGESIZE: c_int = 30;
const SC_NPROCESSORS_ONLN: c_int = 84;

#[unsafe(no_mangle)]
extern "C" fn sysconf(name: c_int) -> c_long {
    match name {
        SC_PAGESIZE => 4096,
        SC_NPROCESSORS_ONLN => 1,
        _ => c_long::from(fail(errno::EINVAL)),
    }
}

#[unsafe(no_mangle)]
extern "C" fn signal(_number: c_int, _handler: usize) -> usize {
    0
}

/// `struct sigaction` as far as anybody looks: its first word is the handler.
#[repr(C)]
struct SignalAction {
    handler: usize,
}

const SIG_IGN: usize = 1;

/// Every signal is ignored already: std then installs no handler of its own.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(_number: c_int, _new: *const SignalAction, old: *mut SignalAction) -> c_int {
    if !old.is_null() {
        // SAFETY: the caller passes a place for the old action.
        unsafe { (*old).handler = SIG_IGN };
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn sigaltstack(_new: *const c_void, _old: *mut c_void) -> c_int {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __xpg_strerror_r(_error: c_int, text: *mut c_char, length: usize) -> c_int {
    const TEXT: &[u8] = b"not on this platform\0";
    if length < TEXT.len() {
        return errno::EINVAL;
    }
    // SAFETY: the caller passes `length` writable bytes.
    unsafe { TEXT.as_ptr().cast::<c_char>().copy_to_nonoverlapping(text, TEXT.len()) };
    0
}

/// No shared objects: std's backtrace, which nobody prints, finds nothing.
#[unsafe(no_mangle)]
extern "C" fn dl_iterate_phdr(_callback: *const c_void, _data: *mut c_void) -> c_int {
    0
}
