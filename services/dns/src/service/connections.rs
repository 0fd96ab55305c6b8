//! Connections: messages behind their length (RFC 1035 §4.2.2), over whatever stream.

use super::Server;
use super::clients::client;
use super::requests::{Reply, respond};
use crate::client::unix_seconds;
use crate::transfer::Outgoing;
use crate::tsig::Session;
use crate::{Handled, Transport, limits};
use std::{cell::RefCell, io::ErrorKind, net::IpAddr, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

const SILENCE: Duration = Duration::from_secs(limits::TCP_IDLE_SECONDS);

/// Answers the messages of one connection in their order, until the peer closes it or is silent for too long.
pub async fn session(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: IpAddr,
    server: &Rc<RefCell<Server>>,
) -> std::io::Result<()> {
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
        let handled = answer(&mut server.borrow_mut(), peer, &query)?;
        let answer = match handled {
            Some(answer) => Some(answer),
            None => match respond(server, Transport::Tcp, peer, &query) {
                Reply::Nothing => None,
                Reply::Message(message) => Some(prefixed(&message)),
                Reply::Later(later) => later.await.map(|message| prefixed(&message)),
                Reply::Transfer(outgoing, session) => {
                    transfer(&mut stream, server, *outgoing, session).await?;
                    continue;
                }
            },
        };
        let Some(answer) = answer else { return Ok(()) };
        timeout(SILENCE, stream.write_all(&answer)).await??;
        timeout(SILENCE, stream.flush()).await??;
    }
}

/// The answer to one message that came some other way, if it deserves one. Not to requests for transfers, which are many.
pub async fn answer_message(server: &Rc<RefCell<Server>>, peer: IpAddr, query: &[u8]) -> Option<Vec<u8>> {
    let prefixed = answer(&mut server.borrow_mut(), peer, query).ok()?;
    if let Some(answer) = prefixed {
        return answer.get(2..).map(<[u8]>::to_vec);
    }
    match respond(server, Transport::Tcp, peer, query) {
        Reply::Message(message) => Some(message),
        Reply::Later(later) => later.await,
        Reply::Nothing | Reply::Transfer(..) => None,
    }
}

/// The answer to one message, behind its length. `None` where somebody else has to give it. What deserves none ends the
/// connection.
pub(super) fn answer(server: &mut Server, peer: IpAddr, query: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let Server { authority, scratch, .. } = server;
    scratch[..query.len()].copy_from_slice(query);
    let length = match authority.handle(client(peer), Transport::Tcp, scratch, query.len()) {
        Handled::Answered(length) => length,
        Handled::Elsewhere => return Ok(None),
        Handled::Dropped => return Err(ErrorKind::InvalidData.into()),
    };
    let mut answer = server.room(2 + length)?;
    answer.extend_from_slice(&(length as u16).to_be_bytes());
    answer.extend_from_slice(&server.scratch[..length]);
    Ok(Some(answer))
}

/// Sends all messages of a transfer, each signed if the request was.
async fn transfer(
    stream: &mut (impl AsyncWrite + Unpin),
    server: &Rc<RefCell<Server>>,
    mut outgoing: Outgoing,
    mut session: Option<Session>,
) -> std::io::Result<()> {
    let _counted = Counted::new(server);
    let reserved = session.as_ref().map_or(0, Session::octets);
    // What takes long is done in slices, between which others are answered: names are put in order, and messages signed.
    while !outgoing.prepare() {
        tokio::task::yield_now().await;
    }
    while let Some(mut message) = outgoing.next_message(reserved) {
        if let Some(session) = &mut session {
            session.sign(&mut message, unix_seconds());
        }
        timeout(SILENCE, stream.write_all(&prefixed(&message))).await??;
        tokio::task::yield_now().await;
    }
    timeout(SILENCE, stream.flush()).await??;
    Ok(())
}

/// One transfer more, as long as it lives.
pub(super) struct Counted(Rc<RefCell<Server>>);

impl Counted {
    pub fn new(server: &Rc<RefCell<Server>>) -> Counted {
        server.borrow_mut().transfers += 1;
        Counted(server.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.borrow_mut().transfers -= 1;
    }
}

/// A message behind its length.
pub(super) fn prefixed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}
