//! Datagrams in bulk: one system call takes or sends up to [`BATCH`] of them.
//!
//! A generator has to be cheaper per packet than the server it loads, and the system call is what can be shared.
//! Segmentation offload (one buffer, many datagrams) would be cheaper still, but the server would then receive
//! one large packet where the world sends it many small ones.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, MultiResults, recvmmsg, sendmmsg};

use crate::limits::{ANSWER_BYTES, BATCH, QUERY_BYTES};

/// Messages that wait to be sent over one connected socket.
pub struct Outgoing {
    messages: Box<[[u8; QUERY_BYTES]]>,
    lengths: [usize; BATCH],
    count: usize,
    headers: MultiHeaders<()>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            messages: vec![[0; QUERY_BYTES]; BATCH].into(),
            lengths: [0; BATCH],
            count: 0,
            headers: MultiHeaders::preallocate(BATCH, None),
        }
    }
}

impl Outgoing {
    /// Whether another message fits before [`Outgoing::send`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// Appends `message` with `id` in its first two bytes. It is at least 2 and at most [`QUERY_BYTES`] long.
    pub fn push(&mut self, message: &[u8], id: u16) {
        let copy = &mut self.messages[self.count];
        copy[..message.len()].copy_from_slice(message);
        copy[..2].copy_from_slice(&id.to_be_bytes());
        self.lengths[self.count] = message.len();
        self.count += 1;
    }

    /// Sends what was pushed and returns how many the socket took. The rest is forgotten: it is lost on the way,
    /// as it would be in a full queue further on.
    pub fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return Ok(0);
        }
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            std::array::from_fn(|at| [IoSlice::new(&self.messages[at][..self.lengths[at]])]);
        let flags = MsgFlags::MSG_DONTWAIT;
        taken(sendmmsg(socket.as_raw_fd(), &mut self.headers, &slices[..count], [None; BATCH], [], flags))
    }
}

/// Messages that were received.
pub struct Incoming {
    messages: Box<[[u8; ANSWER_BYTES]]>,
    lengths: [usize; BATCH],
    count: usize,
    headers: MultiHeaders<()>,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            messages: vec![[0; ANSWER_BYTES]; BATCH].into(),
            lengths: [0; BATCH],
            count: 0,
            headers: MultiHeaders::preallocate(BATCH, None),
        }
    }
}

impl Incoming {
    /// Takes what has arrived, at most [`BATCH`] messages, without waiting; returns how many.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut chunks = self.messages.iter_mut();
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            [IoSliceMut::new(chunks.next().expect("there are as many messages as slices"))]
        });
        let flags = MsgFlags::MSG_DONTWAIT;
        let results = recvmmsg(socket.as_raw_fd(), &mut self.headers, &mut slices, flags, None);
        self.count = match results {
            Ok(results) => {
                results.zip(&mut self.lengths).map(|(result, length)| *length = result.bytes).count()
            }
            Err(error) => forgive(error)?,
        };
        Ok(self.count)
    }

    /// What the last [`Incoming::receive`] took.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.messages.iter().zip(self.lengths).take(self.count).map(|(message, length)| &message[..length])
    }
}

fn taken(results: nix::Result<MultiResults<'_, ()>>) -> io::Result<usize> {
    results.map_or_else(forgive, |results| Ok(results.count()))
}

/// Errors that mean "nothing now": an empty or full queue, and a server that is not there yet or any more.
fn forgive(error: Errno) -> io::Result<usize> {
    match error {
        Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR | Errno::ECONNREFUSED | Errno::EHOSTUNREACH => Ok(0),
        _ => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cross_a_socket_pair_with_their_ids() {
        let (left, right) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        left.connect(right.local_addr().unwrap()).unwrap();
        right.connect(left.local_addr().unwrap()).unwrap();
        let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
        for id in 0..BATCH as u16 {
            outgoing.push(&[9; 20][..2 + usize::from(id % 18)], id);
        }
        assert!(outgoing.is_full());
        assert_eq!(outgoing.send(&left).unwrap(), BATCH);
        assert_eq!(outgoing.send(&left).unwrap(), 0, "what was sent is not sent again");
        assert_eq!(incoming.receive(&right).unwrap(), BATCH);
        for (id, message) in incoming.messages().enumerate() {
            assert_eq!((message.len(), &message[..2]), (2 + id % 18, &(id as u16).to_be_bytes()[..]));
        }
        assert_eq!(incoming.receive(&right).unwrap(), 0, "an empty queue is no error");
    }
}
