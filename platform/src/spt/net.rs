//! Network interfaces: a descriptor that gives and takes one frame a system call.

use super::{number, system_call};
use crate::report::interface_gone;
use solo5_sys::manifest::Entry;

/// -EAGAIN and -EINTR. Any other error of a read is there to stay: the interface was deleted, or its other end closed.
const NOT_NOW: isize = -11;
const INTERRUPTED: isize = -4;

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
            length @ 1.. => Some(length as usize),
            NOT_NOW | INTERRUPTED => None,
            _ => interface_gone(),
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
