//! The last instructions of the tender: thread pointer, filter, stack, jump.
//!
//! They are one block of assembly because nothing compiled may run between them: once `fs` is the guest's, thread-local
//! data of this program is gone, and once the filter is in place, so are its system calls.

use std::arch::asm;

use seccompiler::sock_filter;

use crate::confine::ARCH_SET_FS;

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    filter: *const sock_filter,
}

/// Installs `filter` and jumps to `entry` with `argument` in `rdi`. `thread_pointer` becomes the base of `fs` unless it is 0.
///
/// # Safety
/// `entry` must be code and `stack` the top of memory that it may use; both stay valid for ever.
pub unsafe fn launch(
    filter: &[sock_filter],
    entry: u64,
    stack: u64,
    argument: u64,
    thread_pointer: u64,
) -> ! {
    // The kernel refuses longer filters than 4096 instructions, and so does seccompiler.
    let program = Program { length: filter.len() as u16, filter: filter.as_ptr() };
    // SAFETY: arch_prctl takes an address without looking at it; seccomp reads the program, which outlives the call. Then
    // control goes to the guest, which never comes back. If the filter is refused the process ends without a guest.
    unsafe {
        asm!(
            "test rsi, rsi",
            "jz 2f",
            "mov eax, {arch_prctl}",
            "mov edi, {set_fs}",
            "syscall",
            "2:",
            "mov eax, {seccomp}",
            "mov edi, {set_mode_filter}",
            "xor esi, esi",
            "syscall",
            "test rax, rax",
            "jnz 3f",
            "mov rsp, r13",
            "mov rdi, r14",
            "xor ebp, ebp",
            "xor edx, edx",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "cld",
            "jmp r12",
            "3:",
            "mov eax, {write}",
            "mov edi, 2",
            "lea rsi, [rip + {message}]",
            "mov edx, {message_length}",
            "syscall",
            "mov eax, {exit_group}",
            "mov edi, 1",
            "syscall",
            "ud2",
            arch_prctl = const libc::SYS_arch_prctl,
            set_fs = const ARCH_SET_FS,
            seccomp = const libc::SYS_seccomp,
            set_mode_filter = const libc::SECCOMP_SET_MODE_FILTER,
            write = const libc::SYS_write,
            exit_group = const libc::SYS_exit_group,
            message = sym REFUSED,
            message_length = const REFUSED.len(),
            in("rsi") thread_pointer,
            in("rdx") &raw const program,
            in("r12") entry,
            in("r13") stack,
            in("r14") argument,
            options(noreturn),
        )
    }
}

static REFUSED: [u8; 68] = *b"skerry-tender: this kernel refuses seccomp filters; spt needs them.\n";
