//! Connections: messages behind their length (RFC 1035 §4.2.2), over whatever stream.

use super::Server;
use crate::{Transport, limits};
use std::{cell::RefCell, io::ErrorKind, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// Answers the messages of one connection in their order, until the peer closes it or is silent for too long.
pub(super) async fn session(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server: &RefCell<Server>,
) -> std::io::Result<()> {
    const SILENCE: Duration = Duration::from_secs(limits::TCP_IDLE_SECONDS);
    loop {
        let mut prefix = [0; 2];
        match timeout(SILENCE, stream.read_exact(&mut prefix)).await {
            // Silent for too long, or closed by the peer between two messages: the usual ends.
            Err(_) => return Ok(()),
            Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Ok(read) => read?,
        };
        let length = usize::from(u16::from_be_bytes(prefix));
        let mut query = server.borrow_mut().room(length)?;
        query.resize(length, 0);
        timeout(SILENCE, stream.read_exact(&mut query)).await??;
        let Some(answer) = answer(server, &query)? else { return Ok(()) };
        timeout(SILENCE, stream.write_all(&answer)).await??;
    }
}

/// The answer to one message, behind its length. `None` where it deserves none, which over TCP ends the connection.
fn answer(server: &RefCell<Server>, query: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut server = server.borrow_mut();
    let Server { authority, scratch } = &mut *server;
    scratch[..query.len()].copy_from_slice(query);
    let Some(length) = authority.answer(Transport::Tcp, scratch, query.len()) else { return Ok(None) };
    let mut answer = server.room(2 + length)?;
    answer.extend_from_slice(&(length as u16).to_be_bytes());
    answer.extend_from_slice(&server.scratch[..length]);
    Ok(Some(answer))
}
