//! What the compiler calls without being asked: memory functions, and the end of a panic.

use core::arch::asm;

/// Copies as `memcpy` of C.
///
/// # Safety
///
/// As `memcpy` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear by the calling convention.
    unsafe {
        asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") bytes => _, options(nostack));
    }
    to
}

/// Copies as `memmove` of C.
///
/// # Safety
///
/// As `memmove` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= bytes {
        // SAFETY: copying upwards overwrites nothing that is still to be read; the rest is the caller's.
        return unsafe { memcpy(to, from, bytes) };
    }
    // SAFETY: as above, downwards from the last byte; the direction flag is clear again at the end.
    unsafe {
        asm!(
            "std", "rep movsb", "cld",
            inout("rdi") to.add(bytes).wrapping_sub(1) => _,
            inout("rsi") from.add(bytes).wrapping_sub(1) => _,
            inout("rcx") bytes => _,
            options(nostack)
        );
    }
    to
}

/// Fills as `memset` of C.
///
/// # Safety
///
/// As `memset` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the range; the direction flag is clear by the calling convention.
    unsafe {
        asm!("rep stosb", inout("rdi") to => _, in("al") byte as u8, inout("rcx") bytes => _, options(nostack));
    }
    to
}

/// Compares as `memcmp` of C.
///
/// # Safety
///
/// As `memcmp` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, bytes: usize) -> i32 {
    for index in 0..bytes {
        // SAFETY: the caller vouches for `bytes` bytes behind both pointers. Volatile, lest this loop become a memcmp.
        let (left, right) = unsafe { (left.add(index).read_volatile(), right.add(index).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

/// Compares as `bcmp` of POSIX.
///
/// # Safety
///
/// As `memcmp` of C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, bytes: usize) -> i32 {
    // SAFETY: the caller vouches for it.
    unsafe { memcmp(left, right, bytes) }
}

/// Nothing here panics that is not a mistake of ours. There is nobody to go back to: the firmware may be gone.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    super::console::say("the loader itself is at fault");
    loop {
        // SAFETY: it waits.
        unsafe { asm!("hlt", options(nomem, nostack)) };
    }
}
