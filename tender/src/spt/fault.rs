//! Reports what the guest did when the processor refuses it: signal, address, registers, return addresses.
//!
//! The handler runs inside the guest's sandbox with the guest's thread pointer, so it uses no thread-local data, no heap
//! and no system calls but the two that the guest has: `write` to descriptor 1 and `exit_group`. The report has the same
//! lines as the one that images on hvt print themselves; `cargo xtask symbolize` turns its addresses into names.

use std::arch::asm;
use std::ffi::c_void;
use std::fmt::{self, Write};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use crate::limits::FAULT_FRAMES_MAX;
use crate::line::Line;

/// First address of the guest's memory, and first one behind it.
static MEMORY: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
/// Exit status, or 0 for 128 plus the signal.
static STATUS: AtomicI32 = AtomicI32::new(0);
/// Whether a report is being printed: a second fault then is the report's own.
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Bytes of the stack on which the handler runs. The kernel alone stores up to 11 KiB of registers there.
const STACK_SIZE: usize = 64 * 1024;

/// Number of the page fault, and bits of its error code. Source: Intel SDM volume 3, 4.7 and 6.15.
const PAGE_FAULT: u64 = 14;
const WRITE: u64 = 1 << 1;
const FETCH: u64 = 1 << 4;

/// Exit status of an image of ours that faulted, the same on every target.
const FAULT_STATUS: i32 = 255;

/// Installs the handler for a guest in `memory`. After a fault an image of ours exits with 255 as it does on every target;
/// upstream's exit like a process that the signal killed, as they do on upstream's tender.
pub fn install(memory: Range<u64>, ours: bool) -> io::Result<()> {
    MEMORY[0].store(memory.start, Ordering::Relaxed);
    MEMORY[1].store(memory.end, Ordering::Relaxed);
    STATUS.store(if ours { FAULT_STATUS } else { 0 }, Ordering::Relaxed);
    let stack = Box::leak(vec![0_u8; STACK_SIZE].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_SIZE };
    // SAFETY: the stack is leaked, so it lives as long as the process.
    check(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) })?;
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP] {
        // SAFETY: all zero is a valid sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        action.sa_sigaction = handle as *const () as usize;
        // SAFETY: `handle` has the signature that SA_SIGINFO asks for.
        check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })?;
    }
    Ok(())
}

extern "C" fn handle(signal: i32, info: *const libc::siginfo_t, context: *const c_void) {
    let status = match STATUS.load(Ordering::Relaxed) {
        0 => 128 + signal,
        status => status,
    };
    if !REPORTING.swap(true, Ordering::Relaxed) {
        // SAFETY: the kernel passes both for a handler with SA_SIGINFO.
        let (info, context) = unsafe { (&*info, &*context.cast::<libc::ucontext_t>()) };
        // SAFETY: every signal handled here carries an address.
        let address = unsafe { info.si_addr() }.addr() as u64;
        let registers = Registers(&context.uc_mcontext.gregs);
        report(signal, address, &registers);
        if registers.get(libc::REG_TRAPNO) == PAGE_FAULT && registers.get(libc::REG_ERR) & FETCH != 0 {
            caller(registers.get(libc::REG_RSP));
        }
        frames(registers.get(libc::REG_RBP));
    }
    line(format_args!("  names: cargo xtask symbolize IMAGE < this text"));
    exit(status)
}

struct Registers<'a>(&'a [i64; 23]);

impl Registers<'_> {
    fn get(&self, index: i32) -> u64 {
        self.0[index as usize] as u64
    }
}

fn report(signal: i32, address: u64, registers: &Registers<'_>) {
    let rip = registers.get(libc::REG_RIP);
    let error = registers.get(libc::REG_ERR);
    match registers.get(libc::REG_TRAPNO) {
        PAGE_FAULT => {
            let access = match error {
                error if error & FETCH != 0 => "executing",
                error if error & WRITE != 0 => "writing",
                _ => "reading",
            };
            line(format_args!("fault: page fault {access} address {address:#x} at {rip:#x}"));
        }
        13 => line(format_args!("fault: general protection fault at {rip:#x}")),
        6 => line(format_args!("fault: invalid instruction at {rip:#x}")),
        0 => line(format_args!("fault: division by zero at {rip:#x}")),
        3 => line(format_args!("fault: breakpoint at {rip:#x}")),
        trap => {
            line(format_args!("fault: trap {trap} with signal {signal}, address {address:#x}, at {rip:#x}"));
        }
    }
    for names in NAMES {
        let mut text = Line::default();
        for (name, index) in names {
            let _ = write!(text, " {name}={:#x}", registers.get(*index));
        }
        line(format_args!(" {}", text.as_str()));
    }
}

/// The registers of a report, four a line.
const NAMES: [&[(&str, i32)]; 5] = [
    &[("rip", libc::REG_RIP), ("rsp", libc::REG_RSP), ("rbp", libc::REG_RBP), ("rflags", libc::REG_EFL)],
    &[("rax", libc::REG_RAX), ("rbx", libc::REG_RBX), ("rcx", libc::REG_RCX), ("rdx", libc::REG_RDX)],
    &[("rsi", libc::REG_RSI), ("rdi", libc::REG_RDI), ("r8", libc::REG_R8), ("r9", libc::REG_R9)],
    &[("r10", libc::REG_R10), ("r11", libc::REG_R11), ("r12", libc::REG_R12), ("r13", libc::REG_R13)],
    &[("r14", libc::REG_R14), ("r15", libc::REG_R15)],
];

/// Prints the return address at `stack`, of a call to where there is no code: what was called has made no frame.
fn caller(stack: u64) {
    if let Some([address]) = words(stack) {
        line(format_args!("  frame {address:#x}"));
    }
}

/// Prints the return addresses of the frames from `frame` up, as long as they lie in the guest's memory and ascend.
fn frames(mut frame: u64) {
    for _ in 0..FAULT_FRAMES_MAX {
        let Some([next, address]) = words(frame) else { break };
        if address == 0 {
            break;
        }
        line(format_args!("  frame {address:#x}"));
        if next <= frame {
            break;
        }
        frame = next;
    }
}

/// The words at `address`, if that is aligned and inside the guest's memory.
fn words<const COUNT: usize>(address: u64) -> Option<[u64; COUNT]> {
    let [start, end] = [&MEMORY[0], &MEMORY[1]].map(|edge| edge.load(Ordering::Relaxed));
    let last = end - size_of::<[u64; COUNT]>() as u64;
    if !address.is_multiple_of(8) || !(start..=last).contains(&address) {
        return None;
    }
    // SAFETY: the words lie in the guest's memory, which is mapped. Where it may not be read the handler is entered again,
    // and ends the report.
    Some(unsafe { (address as *const [u64; COUNT]).read_volatile() })
}

fn line(text: fmt::Arguments<'_>) {
    let mut line = Line::default();
    let _ = line.write_fmt(text);
    let bytes = line.finish();
    system_call(libc::SYS_write, 1, bytes.as_ptr().addr(), bytes.len());
}

fn exit(status: i32) -> ! {
    system_call(libc::SYS_exit_group, status as usize, 0, 0);
    unreachable!("exit_group does not return")
}

/// Without the C library, whose `errno` is thread-local.
fn system_call(number: i64, first: usize, second: usize, third: usize) {
    // SAFETY: the two callers above pass what write reads and what exit_group takes.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => _,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
}

fn check(result: i32) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
