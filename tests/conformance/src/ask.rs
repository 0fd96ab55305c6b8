//! Asking a server: one datagram at a time, or several messages one behind the other on a connection.
//!
//! Behind what is asked goes a query that every server answers, the *last word*. Servers answer in order, so when its
//! reply comes and no other has, the query was dropped; nobody has to wait for silence. Notifications and updates may be
//! answered out of order, behind what they wait for: these get a moment before the last word.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::questions::simple;

/// The identifier of the last word, which no question has.
pub const LAST_WORD: u16 = 0xFFFF;

/// How long the last word's reply may take, seconds: an emulated processor may be slow, a dead server must be noticed.
const PATIENCE_SECONDS: u64 = 2;

/// How long a notification or an update, of which some servers drop the malformed ones, has before its last word.
const LATE_ANSWER: Duration = Duration::from_millis(100);

/// How often a datagram and its last word are sent before the server counts as dead.
const ATTEMPTS: usize = 3;

/// A server and how to reach it.
pub struct Server {
    address: SocketAddr,
    socket: UdpSocket,
    last_word: Vec<u8>,
}

/// The octets of a reply, or `None` if there was none.
pub type Octets = Option<Vec<u8>>;

impl Server {
    /// A server that serves `zone`.
    pub fn new(address: SocketAddr, zone: &str) -> io::Result<Server> {
        let mut last_word = simple(zone, 6);
        last_word[..2].copy_from_slice(&LAST_WORD.to_be_bytes());
        Ok(Server { address, socket: connect(address)?, last_word })
    }

    /// Asks over UDP.
    pub fn ask_udp(&mut self, query: &[u8]) -> io::Result<Octets> {
        for _ in 0..ATTEMPTS {
            match self.try_udp(query) {
                Err(error) if is_timeout(&error) => self.socket = connect(self.address)?,
                outcome => return outcome,
            }
        }
        Err(io::Error::new(ErrorKind::TimedOut, "no answer to a query that every server answers"))
    }

    fn try_udp(&self, query: &[u8]) -> io::Result<Octets> {
        self.socket.send(query)?;
        let (mut reply, mut buffer) = (None, vec![0; 65_535]);
        if is_answered_late(query) {
            self.socket.set_read_timeout(Some(LATE_ANSWER))?;
            let answer = self.socket.recv(&mut buffer);
            self.socket.set_read_timeout(Some(Duration::from_secs(PATIENCE_SECONDS)))?;
            match answer {
                Err(error) if is_timeout(&error) => {}
                length => reply = Some(buffer[..length?].to_vec()),
            }
        }
        self.socket.send(&self.last_word)?;
        loop {
            let length = self.socket.recv(&mut buffer)?;
            if identifier(&buffer[..length]) == Some(LAST_WORD) {
                return Ok(reply);
            }
            reply = Some(buffer[..length].to_vec());
        }
    }

    /// Asks over TCP, all queries on one connection before the first reply is read; their identifiers differ. What the
    /// server has not answered when it closes the connection, it drops.
    pub fn ask_tcp(&self, queries: &[&[u8]]) -> io::Result<Vec<Octets>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(PATIENCE_SECONDS)))?;
        stream.set_nodelay(true)?;
        let mut sent = Vec::new();
        for query in queries.iter().copied().chain([self.last_word.as_slice()]) {
            sent.extend((query.len() as u16).to_be_bytes());
            sent.extend(query);
        }
        let mut replies = vec![None; queries.len()];
        if stream.write_all(&sent).is_err() {
            return Ok(replies);
        }
        while let Some(reply) = read_message(&mut stream)? {
            let number = identifier(&reply);
            match queries.iter().position(|query| identifier(query) == number) {
                Some(at) => replies[at] = Some(reply),
                None if number == Some(LAST_WORD) => break,
                None => return Err(io::Error::other("a reply that nobody asked for")),
            }
        }
        Ok(replies)
    }
}

fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(PATIENCE_SECONDS)))?;
    Ok(socket)
}

/// Opcodes 4 (RFC 1996 §3.1) and 5 (RFC 2136 §1.3).
fn is_answered_late(query: &[u8]) -> bool {
    query.get(2).is_some_and(|flags| matches!(flags >> 3 & 0x0F, 4 | 5))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused)
}

fn identifier(message: &[u8]) -> Option<u16> {
    message.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}

/// The next message; `None` where the connection ends.
fn read_message(stream: &mut TcpStream) -> io::Result<Octets> {
    let mut length = [0; 2];
    let mut read = |buffer: &mut [u8]| match stream.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            Ok(false)
        }
        Err(error) => Err(error),
    };
    if !read(&mut length)? {
        return Ok(None);
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    Ok(read(&mut message)?.then_some(message))
}
