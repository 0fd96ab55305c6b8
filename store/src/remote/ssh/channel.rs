//! The one channel of a connection (RFC 4254 §5): a program's input and output as a stream, with its errors beside it.

use super::{
    disconnected,
    limits::{DATA_BYTES, MESSAGES_PER_READ, UNSENT_BYTES, WINDOW_BYTES},
    numbers::{
        CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_FAILURE, CHANNEL_OPEN,
        CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, CHANNEL_SUCCESS,
        CHANNEL_WINDOW_ADJUST, DEBUG, DISCONNECT, EXT_INFO, GLOBAL_REQUEST, IGNORE, REQUEST_FAILURE,
        UNIMPLEMENTED,
    },
    transport::Transport,
};
use crate::{
    openssh::wire::{Reader, Writer},
    remote::{
        Problem,
        packets::Duplex,
        problem::{Messages, printable},
    },
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What we call the channel.
const OUR_NUMBER: u32 = 0;

/// RFC 4254 §5.2.
const STDERR: u32 = 1;

/// A program at the other end.
pub(super) struct Channel<S> {
    transport: Transport<S>,
    /// What the server calls the channel.
    number: u32,
    /// Bytes that the server still takes, and in one packet.
    room: u32,
    packet: u32,
    /// Bytes that we still take.
    window: u32,
    /// Output of the program that has not been read, from `taken` on.
    output: Vec<u8>,
    taken: usize,
    errors: Messages,
    has_errors: bool,
    ended: bool,
    /// Who waits for room, and who for output: either may be the one that hears what the other waits for.
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    /// Runs a command, with variables in its environment where the server allows it.
    pub(super) async fn open(
        mut transport: Transport<S>,
        command: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, Problem> {
        let open = Writer::message(CHANNEL_OPEN).string("session");
        transport.send(open.number(OUR_NUMBER).number(WINDOW_BYTES).number(DATA_BYTES))?;
        let (number, room, packet) = loop {
            let message = transport.receive().await?;
            let mut reader = Reader(&message[1..]);
            match message[0] {
                CHANNEL_OPEN_CONFIRMATION => {
                    reader.number()?;
                    let terms = (reader.number()?, reader.number()?, reader.number()?);
                    if terms.2 == 0 {
                        return Err(Problem::Ssh("the server takes no data".into()));
                    }
                    break terms;
                }
                CHANNEL_OPEN_FAILURE => {
                    let (_, _reason, text) = (reader.number()?, reader.number()?, reader.string()?);
                    return Err(Problem::Ssh(format!("the server opens no channel: {}", printable(text))));
                }
                _ => other(&mut transport, &message)?,
            }
        };
        let request = |kind| Writer::message(CHANNEL_REQUEST).number(number).string(kind);
        for (name, value) in environment {
            transport.send(request("env").byte(0).string(name).string(value))?;
        }
        transport.send(request("exec").byte(1).string(command))?;
        Ok(Self {
            transport,
            number,
            room,
            packet,
            window: WINDOW_BYTES,
            output: Vec::new(),
            taken: 0,
            errors: Messages::default(),
            has_errors: false,
            ended: false,
            writer: None,
            reader: None,
        })
    }

    /// Waits for a message, and takes it in.
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.transport.poll_receive(context)).map_err(io_error)? {
            Some(message) => self.handle(&message).map_err(io_error)?,
            None => self.ended = true,
        }
        for waiting in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waiting.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Takes in a message.
    fn handle(&mut self, message: &[u8]) -> Result<(), Problem> {
        let mut reader = Reader(&message[1..]);
        match message[0] {
            CHANNEL_DATA => {
                reader.number()?;
                let data = reader.string()?;
                self.receive(data.len())?;
                self.output.drain(..self.taken);
                self.taken = 0;
                self.output.extend_from_slice(data);
            }
            CHANNEL_EXTENDED_DATA => {
                reader.number()?;
                let (kind, data) = (reader.number()?, reader.string()?);
                self.receive(data.len())?;
                if kind == STDERR {
                    self.errors.add(data);
                    self.has_errors |= !data.is_empty();
                }
                // Nobody reads it, so there is room for more at once.
                self.give_back(data.len())?;
            }
            CHANNEL_WINDOW_ADJUST => {
                reader.number()?;
                // RFC 4254 §5.2: a window does not go beyond 32 bits.
                self.room = self.room.saturating_add(reader.number()?);
            }
            CHANNEL_EOF | CHANNEL_CLOSE => self.ended = true,
            // The program runs; and how it ended is known by what it said.
            CHANNEL_SUCCESS | CHANNEL_REQUEST => {}
            CHANNEL_FAILURE => {
                return Err(Problem::Ssh("the server does not run git".into()));
            }
            _ => other(&mut self.transport, message)?,
        }
        Ok(())
    }

    /// So many bytes have come.
    fn receive(&mut self, bytes: usize) -> Result<(), Problem> {
        let left = u32::try_from(bytes).ok().and_then(|bytes| self.window.checked_sub(bytes));
        self.window = left.ok_or_else(|| Problem::Ssh("the server sends more than it may".into()))?;
        Ok(())
    }

    /// So many bytes have been read: when it is half the window, the server is told.
    fn give_back(&mut self, bytes: usize) -> Result<(), Problem> {
        let unread = u32::try_from(self.output.len() - self.taken).unwrap_or(WINDOW_BYTES);
        let more = WINDOW_BYTES.saturating_sub(self.window).saturating_sub(unread);
        if bytes > 0 && more >= WINDOW_BYTES / 2 {
            self.window += more;
            self.transport.send(Writer::message(CHANNEL_WINDOW_ADJUST).number(self.number).number(more))?;
        }
        Ok(())
    }
}

/// Messages that have nothing to do with the channel.
pub(super) fn other<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    message: &[u8],
) -> Result<(), Problem> {
    match message[0] {
        IGNORE | DEBUG | UNIMPLEMENTED | EXT_INFO => Ok(()),
        GLOBAL_REQUEST => {
            let mut reader = Reader(&message[1..]);
            let _kind = reader.string()?;
            if reader.byte()? != 0 {
                transport.send(Writer::message(REQUEST_FAILURE))?;
            }
            // They must not pile up: a server that asks and does not read is given up.
            if transport.unsent() > UNSENT_BYTES {
                Err(Problem::Ssh("the server asks too much".into()))
            } else {
                Ok(())
            }
        }
        DISCONNECT => Err(disconnected(message)),
        number => Err(Problem::Ssh(format!("the server sends message {number}, which is not expected"))),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Channel<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut messages = 0;
        while this.taken == this.output.len() && !this.ended {
            this.reader = Some(context.waker().clone());
            messages += 1;
            if messages > MESSAGES_PER_READ {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(this.poll_message(context))?;
        }
        let count = buffer.remaining().min(this.output.len() - this.taken);
        buffer.put_slice(&this.output[this.taken..this.taken + count]);
        this.taken += count;
        this.give_back(count).map_err(io_error)?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Channel<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.transport.unsent() > UNSENT_BYTES {
            ready!(this.transport.poll_flush(context))?;
        }
        // A server may open the channel without room, and give it once the program runs. What its output is until then is
        // kept, and no more than a window. And while keys are exchanged nothing is sent.
        while (this.room == 0 || this.transport.is_exchanging()) && !this.ended {
            this.writer = Some(context.waker().clone());
            ready!(this.poll_message(context))?;
        }
        let most = this.room.min(this.packet).clamp(1, DATA_BYTES - 1_024);
        let count = bytes.len().min(usize::try_from(most).unwrap_or_default());
        if this.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        this.room -= u32::try_from(count).unwrap_or_default();
        let message = Writer::message(CHANNEL_DATA).number(this.number).string(&bytes[..count]);
        this.transport.send(message).map_err(io_error)?;
        // What does not go now goes with the next read, write or flush.
        match this.transport.poll_flush(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ended {
            this.ended = true;
            let close = Writer::message(CHANNEL_CLOSE).number(this.number);
            this.transport.send(close).map_err(io_error)?;
        }
        ready!(this.transport.poll_flush(context))?;
        this.transport.poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for Channel<S> {
    fn complaint(&self) -> Option<String> {
        self.has_errors.then(|| self.errors.text())
    }
}

/// As the stream's error, with our words in it.
fn io_error(problem: Problem) -> io::Error {
    match problem {
        Problem::Closed { cause: Some(cause), .. } => cause,
        problem => io::Error::other(problem.to_string()),
    }
}
