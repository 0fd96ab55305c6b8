//! A connection as packets: reads them one by one, and meanwhile writes what is to be sent.
//!
//! Both at once, since a server that has given up says so and stops reading; whoever only wrote would never learn why.

use super::{
    limits::{READ_BYTES, SILENCE_SECONDS},
    pkt_line::Packet,
    problem::{Problem, printable},
};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};

/// A connection to a service of git.
pub trait Duplex: AsyncRead + AsyncWrite {
    /// What the program at the other end has printed as an error, where that comes separately (ssh).
    fn complaint(&self) -> Option<String> {
        None
    }
}

/// A connection that carries the protocol and nothing else.
pub struct Plain<S>(pub S);

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for Plain<S> {}

/// Packets of a connection.
pub struct Packets {
    stream: Pin<Box<dyn Duplex>>,
    incoming: Vec<u8>,
    /// Bytes of `incoming` that belong to packets that have been taken.
    taken: usize,
    outgoing: Outgoing,
    /// Whether there has been a packet: before, whatever is wrong is no server of git.
    spoke: bool,
}

impl Packets {
    /// Packets of a connection on which nothing has been read.
    pub fn new(stream: impl Duplex + 'static) -> Self {
        let outgoing = Outgoing { bytes: Vec::new(), sent: 0, flushed: true, broken: None };
        Self { stream: Box::pin(stream), incoming: Vec::new(), taken: 0, outgoing, spoke: false }
    }

    /// Sends bytes, while packets are being read.
    pub fn send(&mut self, bytes: Vec<u8>) {
        self.outgoing.bytes.drain(..self.outgoing.sent);
        self.outgoing.sent = 0;
        self.outgoing.flushed = false;
        if self.outgoing.bytes.is_empty() {
            self.outgoing.bytes = bytes;
        } else {
            self.outgoing.bytes.extend_from_slice(&bytes);
        }
    }

    /// Sends what is left, and waits for nothing.
    pub async fn finish_sending(&mut self) -> Result<(), Problem> {
        let Self { stream, outgoing, .. } = self;
        let done = poll_fn(|context| {
            loop {
                match outgoing.poll(stream.as_mut(), context) {
                    Poll::Ready(()) if outgoing.flushed => break Poll::Ready(()),
                    Poll::Ready(()) => {}
                    Poll::Pending => break Poll::Pending,
                }
            }
        });
        let seconds = SILENCE_SECONDS;
        timeout(Duration::from_secs(seconds), done).await.map_err(|_| Problem::Silent { seconds })?;
        self.outgoing.broken.take().map_or(Ok(()), |cause| Err(self.closed(Some(cause))))
    }

    /// The next packet.
    pub async fn next(&mut self) -> Result<Packet<'_>, Problem> {
        let length = loop {
            match Packet::decode(&self.incoming[self.taken..]) {
                Ok(Some((_, length))) => break length,
                Ok(None) => self.read_more().await?,
                Err(_) => return Err(self.not_git()),
            }
        };
        let begin = self.taken;
        self.taken += length;
        self.spoke = true;
        match Packet::decode(&self.incoming[begin..self.taken]) {
            // gitprotocol-pack, "Pkt-line Format": instead of any packet.
            Ok(Some((Packet::Data(data), _))) if data.starts_with(b"ERR ") => {
                Err(Problem::Refused(printable(&data[4..])))
            }
            Ok(Some((packet, _))) => Ok(packet),
            _ => Err(Problem::Protocol("a packet that is none")),
        }
    }

    /// Waits until something has been read or written.
    async fn read_more(&mut self) -> Result<(), Problem> {
        self.incoming.drain(..self.taken);
        self.taken = 0;
        let Self { stream, incoming, outgoing, .. } = self;
        let moved = poll_fn(|context| {
            let wrote = outgoing.poll(stream.as_mut(), context).is_ready();
            match poll_read(stream.as_mut(), context, incoming) {
                Poll::Pending if wrote => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
                Poll::Ready(read) => Poll::Ready(read.map(Some)),
            }
        });
        let seconds = SILENCE_SECONDS;
        match timeout(Duration::from_secs(seconds), moved).await {
            Err(_) => Err(Problem::Silent { seconds }),
            Ok(Ok(Some(0))) => {
                let cause = self.outgoing.broken.take();
                Err(self.closed(cause))
            }
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(self.closed(Some(cause))),
        }
    }

    fn closed(&self, cause: Option<io::Error>) -> Problem {
        let begin = &self.incoming[..self.incoming.len().min(4)];
        if !self.spoke && !begin.iter().all(u8::is_ascii_hexdigit) {
            return self.not_git();
        }
        Problem::Closed { complaint: self.stream.complaint(), cause }
    }

    fn not_git(&self) -> Problem {
        if self.spoke {
            return Problem::Protocol("a length that no packet has");
        }
        let line = self.incoming.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Problem::NotGit { seen: printable(&line[..line.len().min(100)]) }
    }
}

fn poll_read(
    stream: Pin<&mut dyn Duplex>,
    context: &mut Context<'_>,
    incoming: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let filled = incoming.len();
    incoming.resize(filled + READ_BYTES, 0);
    let mut buffer = ReadBuf::new(&mut incoming[filled..]);
    let read = stream.poll_read(context, &mut buffer);
    let length = buffer.filled().len();
    incoming.truncate(filled + length);
    read.map(|read| read.map(|()| length))
}

/// What is to be sent.
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    flushed: bool,
    /// Why sending failed. The answer that was underway is still read: it says more.
    broken: Option<io::Error>,
}

impl Outgoing {
    /// Ready if something was sent.
    fn poll(&mut self, mut stream: Pin<&mut dyn Duplex>, context: &mut Context<'_>) -> Poll<()> {
        if self.sent < self.bytes.len() {
            match stream.poll_write(context, &self.bytes[self.sent..]) {
                Poll::Ready(Ok(length)) if length > 0 => self.sent += length,
                Poll::Ready(Ok(_)) => self.fail(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Err(error)) => self.fail(error),
                Poll::Pending => return Poll::Pending,
            }
            return Poll::Ready(());
        }
        if self.flushed {
            return Poll::Pending;
        }
        match stream.as_mut().poll_flush(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => self.fail(error),
            Poll::Ready(Ok(())) => {}
        }
        self.flushed = true;
        Poll::Ready(())
    }

    fn fail(&mut self, error: io::Error) {
        self.sent = self.bytes.len();
        self.flushed = true;
        self.broken = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[track_caller]
    fn check(bytes: &[u8], expected: &[&str], end: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(64);
            let bytes = bytes.to_vec();
            let peer = tokio::spawn(async move { theirs.write_all(&bytes).await });
            let mut packets = Packets::new(Plain(ours));
            let mut seen = Vec::new();
            let error = loop {
                match packets.next().await {
                    Ok(packet) => seen.push(format!("{:?}", packet.line())),
                    Err(error) => break error.to_string(),
                }
            };
            drop(packets);
            let _ = peer.await.unwrap(); // what was not read cannot be written
            assert_eq!(seen, expected);
            assert!(error.contains(end), "{error}");
        });
    }

    #[test]
    fn packets_come_one_by_one() {
        check(
            b"0006a\n0000000ahello\n",
            &["Some(\"a\")", "None", "Some(\"hello\")"],
            "closed the connection",
        );
        check(b"", &[], "closed the connection");
        check(b"0006a\n0009", &["Some(\"a\")"], "closed the connection");
    }

    #[test]
    fn refusals_are_told() {
        check(b"0019ERR access denied: /x", &[], "the server refuses: access denied: /x");
    }

    #[test]
    fn other_protocols_are_shown() {
        check(b"HTTP/1.1 400 Bad Request\r\nServer: x", &[], "it says 'HTTP/1.1 400 Bad Request'");
        check(b"+OK", &[], "it says '+OK'");
        check(b"00", &[], "closed the connection");
        check(b"0006a\nzzzz", &["Some(\"a\")"], "breaks git's protocol");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let error = Packets::new(Plain(ours)).next().await.unwrap_err();
        assert!(matches!(error, Problem::Silent { seconds: SILENCE_SECONDS }), "{error}");
    }

    /// Both ends write more than the connection holds before either reads.
    #[tokio::test]
    async fn sending_does_not_wait_for_reading() {
        let (ours, theirs) = tokio::io::duplex(64);
        let (mut reader, mut writer) = tokio::io::split(theirs);
        let peer = tokio::spawn(async move {
            writer.write_all(&b"0006a\n".repeat(100)).await.unwrap();
            let mut bytes = vec![0; 10_000];
            reader.read_exact(&mut bytes).await.unwrap();
            writer.write_all(b"0000").await.unwrap();
        });
        let mut packets = Packets::new(Plain(ours));
        packets.send(vec![7; 10_000]);
        let mut lines = 0;
        while packets.next().await.unwrap() != Packet::Flush {
            lines += 1;
        }
        peer.await.unwrap();
        assert_eq!(lines, 100);
    }
}
