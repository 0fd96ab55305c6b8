//! Files: standard output and error are the console, standard input is at its end, nothing else exists.

use super::{errno, fail};
use crate::target;
use std::ffi::{c_char, c_int, c_void};

#[unsafe(no_mangle)]
unsafe extern "C" fn write(descriptor: c_int, bytes: *const u8, length: usize) -> isize {
    if !matches!(descriptor, 1 | 2) {
        return fail(errno::EBADF) as isize;
    }
    // SAFETY: the caller passes `length` readable bytes.
    target::console(unsafe { std::slice::from_raw_parts(bytes, length) });
    length as isize
}

#[repr(C)]
struct IoVector {
    bytes: *const u8,
    length: usize,
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(descriptor: c_int, vectors: *const IoVector, count: c_int) -> isize {
    let mut total = 0;
    for index in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller passes `count` vectors of readable bytes.
        let written = unsafe {
            let vector = &*vectors.add(index);
            write(descriptor, vector.bytes, vector.length)
        };
        if written < 0 {
            return written;
        }
        total += written;
    }
    total
}

#[unsafe(no_mangle)]
extern "C" fn read(descriptor: c_int, _bytes: *mut u8, _length: usize) -> isize {
    if descriptor == 0 { 0 } else { fail(errno::EBADF) as isize }
}

/// std asks at start whether the three standard descriptors are open: they are.
#[unsafe(no_mangle)]
extern "C" fn poll(_descriptors: *mut c_void, _count: usize, _timeout_ms: c_int) -> c_int {
    0
}

/// Functions on files that do not exist, and memory mappings, which this platform has none of.
macro_rules! absent {
    ($($name:ident -> $type:ty = $value:expr;)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name() -> $type {
            fail(errno::ENOSYS);
            $value
        })*
    };
}

absent! {
    close -> c_int = -1;
    fcntl -> c_int = -1;
    fstat64 -> c_int = -1;
    getcwd -> *const c_char = std::ptr::null();
    lseek64 -> i64 = -1;
    mmap64 -> isize = -1;
    mmap -> isize = -1;
    mprotect -> c_int = -1;
    munmap -> c_int = -1;
    open64 -> c_int = -1;
    readlink -> isize = -1;
    realpath -> *const c_char = std::ptr::null();
    stat64 -> c_int = -1;
}
