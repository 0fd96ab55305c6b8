//! Datagrams in bulk: one system call takes up to [`BATCH`] of them, or sends those of one length.
//!
//! A generator has to be cheaper per packet than the server it loads. Datagrams of one length leave as one buffer,
//! which the kernel cuts up (UDP_SEGMENT, Linux 6.11 for an interface without checksum offload). It must do so before
//! the interface: the world sends a server many small packets, not one large one. A TAP cannot take a large one; of a
//! veth pair it has to be asked (`ip link set .. gso_max_segs 1`).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, recvmmsg, sendmsg};

use crate::limits::{ANSWER_BYTES, BATCH, QUERY_BYTES};

/// Messages that wait to be sent over one connected socket, those of one length together.
#[derive(Default)]
pub struct Outgoing {
    runs: Vec<Run>,
    count: usize,
}

/// Messages of one length, one after the other.
struct Run {
    length: u16,
    bytes: Vec<u8>,
}

impl Outgoing {
    /// Whether [`Outgoing::send`] is due before another message.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// Appends `message` with `id` in its first two bytes. It is at least 2 and at most [`QUERY_BYTES`] long.
    pub fn push(&mut self, message: &[u8], id: u16) {
        let length = message.len() as u16;
        let at = self.runs.iter().position(|run| run.length == length).unwrap_or_else(|| {
            self.runs.push(Run { length, bytes: Vec::with_capacity(BATCH * QUERY_BYTES) });
            self.runs.len() - 1
        });
        let bytes = &mut self.runs[at].bytes;
        bytes.extend(id.to_be_bytes());
        bytes.extend_from_slice(&message[2..]);
        self.count += 1;
    }

    /// Sends what was pushed and returns how many the socket took. The rest is forgotten: it is lost on the way,
    /// as it would be in a full queue further on.
    pub fn send(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.count = 0;
        let mut sent = 0;
        for run in self.runs.iter_mut().filter(|run| !run.bytes.is_empty()) {
            let segments = [ControlMessage::UdpGsoSegments(&run.length)];
            let slices = [IoSlice::new(&run.bytes)];
            let result = sendmsg::<()>(socket.as_raw_fd(), &slices, &segments, MsgFlags::MSG_DONTWAIT, None);
            sent += result.or_else(forgive)? / usize::from(run.length);
            run.bytes.clear();
        }
        Ok(sent)
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
            outgoing.push(&[9; 20][..12 + usize::from(id % 3)], id);
        }
        assert!(outgoing.is_full());
        assert_eq!(outgoing.send(&left).unwrap(), BATCH);
        assert_eq!(outgoing.send(&left).unwrap(), 0, "what was sent is not sent again");
        assert_eq!(incoming.receive(&right).unwrap(), BATCH);
        let mut ids: Vec<u16> = Vec::new();
        for message in incoming.messages() {
            let id = u16::from_be_bytes([message[0], message[1]]);
            assert_eq!(message.len(), 12 + usize::from(id % 3), "each has the length it was pushed with");
            ids.push(id);
        }
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..BATCH as u16), "each arrives once");
        assert_eq!(incoming.receive(&right).unwrap(), 0, "an empty queue is no error");
    }
}
