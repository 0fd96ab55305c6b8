//! Console and the end, by hypercall.

use super::hypercall;
use solo5_sys::hvt::{Halt, Hypercall, Puts};

/// Writes `text` to the tender's standard output.
pub fn console(text: &[u8]) {
    let mut puts = Puts { data: text.as_ptr().addr() as u64, len: text.len() as u64 };
    // SAFETY: the tender only reads `text`.
    unsafe { hypercall(Hypercall::Puts, &mut puts) };
}

/// Ends the virtual machine.
pub fn exit(status: i32) -> ! {
    let mut halt = Halt { cookie: 0, exit_status: status };
    loop {
        // SAFETY: there is no cookie to read, and the call does not return.
        unsafe { hypercall(Hypercall::Halt, &mut halt) };
    }
}
