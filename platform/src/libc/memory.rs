//! Memory and string functions.
//!
//! Up to 128 bytes are moved by overlapping loads and stores without a loop, all loads first, which makes them right for
//! overlapping buffers too; above that the CPU's string instructions are as quick as anything. They go by words of eight
//! bytes, which an emulated CPU does one by one. Loops are written in
//! assembly or over words where the compiler would recognise them and call the very function they implement.

use std::{
    arch::{
        asm,
        x86_64::{__m128i, _mm_loadu_si128, _mm_set1_epi8, _mm_storeu_si128},
    },
    ffi::{c_char, c_int},
};

/// Moves `$n` bytes of type `$t` from both ends, which overlap in the middle.
macro_rules! move_ends {
    ($to:expr, $from:expr, $n:expr, $t:ty) => {{
        let behind = $n - size_of::<$t>();
        let first = $from.cast::<$t>().read_unaligned();
        let last = $from.add(behind).cast::<$t>().read_unaligned();
        $to.cast::<$t>().write_unaligned(first);
        $to.add(behind).cast::<$t>().write_unaligned(last);
    }};
}

/// Moves up to 128 bytes; the buffers may overlap.
///
/// # Safety
/// `from` must be readable and `to` writable for `n` bytes, and `n` at most 128.
#[inline(always)]
unsafe fn move_small(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: every access lies within the first n bytes of its buffer, by the comparison that guards it.
    unsafe {
        if n <= 16 {
            if n >= 8 {
                move_ends!(to, from, n, u64);
            } else if n >= 4 {
                move_ends!(to, from, n, u32);
            } else if n >= 2 {
                move_ends!(to, from, n, u16);
            } else if n == 1 {
                *to = *from;
            }
        } else if n <= 32 {
            move_ends!(to, from, n, __m128i);
        } else if n <= 64 {
            move_ends!(to, from, n, [__m128i; 2]);
        } else {
            move_ends!(to, from, n, [__m128i; 4]);
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's contract is memcpy's.
    unsafe {
        if n <= 128 {
            move_small(to, from, n);
        } else {
            forward(to, from, n);
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's contract is memmove's; going backward is right where the target begins inside the source.
    unsafe {
        if n <= 128 {
            move_small(to, from, n);
        } else if to.addr().wrapping_sub(from.addr()) >= n {
            forward(to, from, n);
        } else {
            backward(to, from, n);
        }
    }
    to
}

/// # Safety
/// `from` must be readable and `to` writable for `n` bytes, which are at least 8, and `to` must not begin inside `from`.
#[inline(always)]
unsafe fn forward(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: by the caller's contract; the last word is read before anything is written over it. The direction flag is
    // clear by the ABI.
    unsafe {
        let last = from.add(n - 8).cast::<u64>().read_unaligned();
        asm!("rep movsq", inout("rcx") n / 8 => _, inout("rdi") to => _, inout("rsi") from => _,
             options(nostack, preserves_flags));
        to.add(n - 8).cast::<u64>().write_unaligned(last);
    }
}

/// # Safety
/// `from` must be readable and `to` writable for `n` bytes, and `n` at least 16.
#[inline(always)]
unsafe fn backward(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: by the caller's contract. The loop moves whole vectors from the end; what is left at the beginning, less than
    // one, is inside the first vector, loaded before anything was overwritten.
    unsafe {
        let first = _mm_loadu_si128(from.cast());
        asm!(
            "2:",
            "movdqu {vector}, [{from} + {left} - 16]",
            "movdqu [{to} + {left} - 16], {vector}",
            "sub {left}, 16",
            "cmp {left}, 16",
            "jae 2b",
            vector = out(xmm_reg) _, from = in(reg) from, to = in(reg) to, left = inout(reg) n => _,
            options(nostack),
        );
        _mm_storeu_si128(to.cast(), first);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, n: usize) -> *mut u8 {
    let word = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    // SAFETY: `to` is writable for n bytes; every access lies within them by the comparison that guards it.
    unsafe {
        if n > 128 {
            asm!("rep stosq", inout("rcx") n / 8 => _, inout("rdi") to => _, in("rax") word,
                 options(nostack, preserves_flags));
            to.add(n - 8).cast::<u64>().write_unaligned(word);
        } else if n > 16 {
            let vector = _mm_set1_epi8(byte as i8);
            let last = n - 16;
            _mm_storeu_si128(to.cast(), vector);
            _mm_storeu_si128(to.add(last).cast(), vector);
            if n > 32 {
                _mm_storeu_si128(to.add(16).cast(), vector);
                _mm_storeu_si128(to.add(last - 16).cast(), vector);
            }
            if n > 64 {
                _mm_storeu_si128(to.add(32).cast(), vector);
                _mm_storeu_si128(to.add(48).cast(), vector);
                _mm_storeu_si128(to.add(last - 32).cast(), vector);
                _mm_storeu_si128(to.add(last - 48).cast(), vector);
            }
        } else if n >= 8 {
            to.cast::<u64>().write_unaligned(word);
            to.add(n - 8).cast::<u64>().write_unaligned(word);
        } else if n >= 4 {
            to.cast::<u32>().write_unaligned(word as u32);
            to.add(n - 4).cast::<u32>().write_unaligned(word as u32);
        } else if n >= 1 {
            *to = byte as u8;
            *to.add(n / 2) = byte as u8;
            *to.add(n - 1) = byte as u8;
        }
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, n: usize) -> c_int {
    let mut at = 0;
    // SAFETY: both buffers are readable for n bytes, and every access is below n.
    unsafe {
        while n - at >= 8 {
            let one = left.add(at).cast::<u64>().read_unaligned();
            let other = right.add(at).cast::<u64>().read_unaligned();
            if one != other {
                return if one.swap_bytes() < other.swap_bytes() { -1 } else { 1 };
            }
            at += 8;
        }
        while at < n {
            let (one, other) = (*left.add(at), *right.add(at));
            if one != other {
                return c_int::from(one) - c_int::from(other);
            }
            at += 1;
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, n: usize) -> c_int {
    // SAFETY: the caller's contract is the same.
    unsafe { memcmp(left, right, n) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: the caller promises a terminator; volatile, or the compiler would make this a call to strlen.
    unsafe {
        while text.add(length).read_volatile() != 0 {
            length += 1;
        }
    }
    length
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memchr(bytes: *const u8, byte: c_int, n: usize) -> *const u8 {
    // SAFETY: the buffer is readable for n bytes.
    let position = (0..n).find(|&at| unsafe { *bytes.add(at) } == byte as u8);
    // SAFETY: the position is inside the buffer.
    position.map_or(std::ptr::null(), |at| unsafe { bytes.add(at) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memrchr(bytes: *const u8, byte: c_int, n: usize) -> *const u8 {
    // SAFETY: the buffer is readable for n bytes.
    let position = (0..n).rev().find(|&at| unsafe { *bytes.add(at) } == byte as u8);
    // SAFETY: the position is inside the buffer.
    position.map_or(std::ptr::null(), |at| unsafe { bytes.add(at) })
}
