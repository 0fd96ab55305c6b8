//! Many frames or datagrams a system call: `recvmmsg` and `sendmmsg`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::limits::USER_BATCH;

/// Bytes of one buffer: the largest frame, and room to see that something is larger.
pub const BUFFER_SIZE: usize = 2048;

/// A peer's address as the kernel writes it; compared and handed back, never looked into.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    bytes: [u8; 32],
    length: u32,
}

impl Default for Address {
    fn default() -> Self {
        NO_ADDRESS
    }
}

const NO_ADDRESS: Address = Address { bytes: [0; 32], length: 0 };

/// Buffers for what one call receives.
pub struct Batch {
    buffers: Box<[[u8; BUFFER_SIZE]]>,
    lengths: [usize; USER_BATCH],
    sources: [Address; USER_BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            buffers: vec![[0; BUFFER_SIZE]; USER_BATCH].into_boxed_slice(),
            lengths: [0; USER_BATCH],
            sources: [NO_ADDRESS; USER_BATCH],
        }
    }
}

impl Batch {
    /// Receives what is there, at most [`USER_BATCH`] packets, each into its buffer from `offset` on. Returns how many.
    ///
    /// Not waiting and having nothing is 0; a longer packet than its buffer is cut off, so its length is all of the room.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, offset: usize) -> io::Result<usize> {
        // SAFETY: all zero is valid for both.
        let mut vectors: [libc::iovec; USER_BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; USER_BATCH] = unsafe { std::mem::zeroed() };
        for (index, header) in headers.iter_mut().enumerate() {
            let room = &mut self.buffers[index][offset..];
            vectors[index] = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            self.sources[index] = NO_ADDRESS;
            header.msg_hdr.msg_iov = &raw mut vectors[index];
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = self.sources[index].bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = self.sources[index].bytes.len() as u32;
        }
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: the headers point to buffers, vectors and addresses that outlive the call, with their sizes.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                USER_BATCH as u32,
                flags,
                std::ptr::null_mut(),
            )
        };
        let count = or_nothing(count)?;
        for (index, header) in headers[..count].iter().enumerate() {
            self.lengths[index] = header.msg_len as usize;
            self.sources[index].length = header.msg_hdr.msg_namelen;
        }
        Ok(count)
    }

    /// What was received as packet `index`, if it was received at offset 0.
    pub fn packet(&self, index: usize) -> &[u8] {
        &self.buffers[index][..self.lengths[index]]
    }

    /// The buffer of packet `index` from its start, and how many bytes were received behind the offset.
    pub fn buffer(&mut self, index: usize) -> (&mut [u8; BUFFER_SIZE], usize) {
        (&mut self.buffers[index], self.lengths[index])
    }

    /// The same to read.
    pub fn whole(&self, index: usize) -> &[u8; BUFFER_SIZE] {
        &self.buffers[index]
    }

    /// Where packet `index` came from.
    pub fn source(&self, index: usize) -> &Address {
        &self.sources[index]
    }
}

/// Sends packets, each to its address if it has one. Returns how many the kernel took; it stops at the first refused.
pub fn send(socket: BorrowedFd<'_>, packets: &[(&[u8], Option<&Address>)]) -> io::Result<usize> {
    debug_assert!(packets.len() <= USER_BATCH);
    // SAFETY: all zero is valid for both.
    let mut vectors: [libc::iovec; USER_BATCH] = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; USER_BATCH] = unsafe { std::mem::zeroed() };
    let count = packets.len().min(USER_BATCH);
    for (index, (bytes, address)) in packets.iter().enumerate().take(count) {
        vectors[index] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let header = &mut headers[index].msg_hdr;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        if let Some(address) = address {
            header.msg_name = address.bytes.as_ptr().cast_mut().cast();
            header.msg_namelen = address.length.min(address.bytes.len() as u32);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the headers point to bytes, vectors and addresses that outlive the call; sending only reads them.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as u32, flags) };
    or_nothing(sent)
}

/// Turns "would block" into 0.
fn or_nothing(count: i32) -> io::Result<usize> {
    if count >= 0 {
        return Ok(count as usize);
    }
    match io::Error::last_os_error() {
        error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        error => Err(error),
    }
}
