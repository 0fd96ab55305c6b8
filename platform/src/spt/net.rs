//! Network interfaces: a descriptor that gives and takes one frame a system call.

use super::{console, exit, number, system_call};
use solo5_sys::manifest::Entry;

/// An interface of the tender's: a TAP device or a packet socket.
#[derive(Debug)]
pub struct Interface {
    descriptor: usize,
}

impl Interface {
    /// The interface that `entry` describes.
    pub fn new(_handle: usize, entry: &Entry) -> Self {
        Self { descriptor: entry.host as u32 as usize }
    }

    /// Takes one frame; `None` when there is none now.
    #[inline]
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        let arguments = [self.descriptor, frame.as_mut_ptr().addr(), frame.len(), 0, 0, 0];
        // SAFETY: the kernel writes at most the length of `frame` to it.
        match unsafe { system_call(number::READ, arguments) } {
            0 => {
                console(b"the host closed a network interface: nobody can be served any more\n");
                exit(1)
            }
            length => usize::try_from(length).ok(),
        }
    }

    /// Sends one frame; false if the host did not take it.
    #[inline]
    pub fn transmit(&mut self, frame: &[u8]) -> bool {
        let arguments = [self.descriptor, frame.as_ptr().addr(), frame.len(), 0, 0, 0];
        // SAFETY: the kernel only reads `frame`.
        unsafe { system_call(number::WRITE, arguments) >= 0 }
    }
}
