//! The libc facade: the C symbols that the prebuilt std links against, and nothing more.
//!
//! | real | where |
//! |---|---|
//! | memory and string functions | [`memory`] |
//! | malloc and its family | [`allocation`] |
//! | console output; every other file is absent (`ENOSYS`, `EBADF`) | [`files`] |
//! | clocks, sleeping | [`time`] |
//! | futex (park) → idle, thread-local keys; creating a thread fails (`EAGAIN`) | [`threads`] |
//! | exit, abort, random bytes; no environment, no signals | [`process`] |
//! | the unwinder: nothing unwinds | [`unwind`] |
//!
//! `docs/facade.txt` lists the symbols an image may need; `cargo xtask tidy` compares, so that no dependency widens this
//! unseen. Signatures are those of the System V ABI; a variadic function is declared with the arguments its callers pass,
//! which arrive in the same registers.

mod allocation;
mod files;
mod memory;
mod process;
mod threads;
mod time;
mod unwind;

use std::ffi::{c_char, c_int};

/// Error numbers of Linux that the facade returns.
mod errno {
    use std::ffi::c_int;

    pub const EINTR: c_int = 4;
    pub const EBADF: c_int = 9;
    pub const EAGAIN: c_int = 11;
    pub const ENOMEM: c_int = 12;
    pub const EINVAL: c_int = 22;
    pub const ENOSYS: c_int = 38;
    pub const ETIMEDOUT: c_int = 110;
}

static mut ERRNO: c_int = 0;

/// The environment: empty.
#[unsafe(no_mangle)]
pub static mut environ: *const *const c_char = (&raw const EMPTY_ENVIRONMENT.0).cast();

struct Environment([*const c_char; 1]);

// SAFETY: a null pointer that nobody writes.
unsafe impl Sync for Environment {}

static EMPTY_ENVIRONMENT: Environment = Environment([std::ptr::null()]);

#[unsafe(no_mangle)]
extern "C" fn __errno_location() -> *mut c_int {
    &raw mut ERRNO
}

/// Sets `errno` and returns -1, as failing functions do.
fn fail(error: c_int) -> c_int {
    // SAFETY: there is one thread.
    unsafe { ERRNO = error };
    -1
}
