//! TCP connections from outside: a listener with a backlog, a limit on connections, and one on half-open ones.

use super::{
    Network, Refused, TcpStream,
    flows::{FlowId, Holder},
    stack::Stack,
};
use crate::limits::{CONNECTION_BYTES, LISTENERS};
use std::{collections::VecDeque, future::poll_fn, net::SocketAddr, task::Poll, task::Waker, time::Duration};

/// How a listener and its connections behave; also of connections that we open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Connections that wait to be accepted. More SYNs are dropped; peers repeat them.
    pub backlog: usize,
    /// Connections at a time, those that wait included. More SYNs are dropped.
    pub connections: usize,
    /// Bytes that the peer may send ahead of what the service has read, at most: of an accepted connection the buffer starts small
    /// and grows with use, up to [`RECEIVE_BYTES_MAX`](crate::limits::RECEIVE_BYTES_MAX).
    pub receive_buffer: usize,
    /// Bytes that the service may write ahead of what the peer has acknowledged, at most: as above.
    pub send_buffer: usize,
    /// Silence of the peer after which a connection is dropped; `None` for never.
    pub idle_timeout: Option<Duration>,
    /// Silence after which the peer is asked for a sign of life; `None` for never.
    pub keep_alive: Option<Duration>,
    /// Whether a small segment waits for the acknowledgement of the one before (Nagle's algorithm).
    pub nagle: bool,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            backlog: 128,
            connections: 10_000,
            receive_buffer: 16 * 1024,
            send_buffer: 16 * 1024,
            idle_timeout: Some(Duration::from_secs(120)),
            keep_alive: None,
            nagle: false,
        }
    }
}

impl TcpOptions {
    /// Bytes that a connection takes at most.
    pub(super) fn memory(&self) -> usize {
        self.receive_buffer + self.send_buffer + CONNECTION_BYTES
    }
}

/// Names a listener, and no later one on the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(u64);

pub(super) struct Listening {
    pub id: ListenerId,
    pub port: u16,
    pub options: TcpOptions,
    /// Connections to be accepted.
    pub queue: VecDeque<FlowId>,
    /// All connections that came from here.
    pub connections: usize,
    pub waker: Option<Waker>,
}

/// Listens on a TCP port, on all addresses. Dropping it resets the connections that were not accepted.
pub struct TcpListener {
    network: Network,
    id: ListenerId,
    port: u16,
}

impl TcpListener {
    /// Listens on `port` from now on.
    pub fn bind(network: &Network, port: u16, options: TcpOptions) -> Result<Self, Refused> {
        let mut stack = network.borrow_mut();
        if port == 0 || stack.listeners.iter().any(|listening| listening.port == port) {
            return Err(Refused::PortTaken(port));
        }
        if stack.listeners.len() >= LISTENERS {
            return Err(Refused::TooManySockets);
        }
        let id = ListenerId(stack.next_listener());
        stack.listeners.push(Listening {
            id,
            port,
            options,
            queue: VecDeque::new(),
            connections: 0,
            waker: None,
        });
        Ok(Self { network: network.clone(), id, port })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next connection, with the peer's address. One task at a time may wait here.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        poll_fn(|context| {
            let mut stack = self.network.borrow_mut();
            match stack.accept(self.id, context.waker()) {
                Some((id, local, peer)) => {
                    Poll::Ready((TcpStream::new(&self.network, id, local, peer), peer))
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.network.borrow_mut().unlisten(self.id);
    }
}

/// How many connections there are, by what they wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpStates {
    /// All of them.
    pub flows: usize,
    /// Those that wait to be accepted.
    pub backlog: usize,
    /// Those in TIME-WAIT.
    pub time_wait: usize,
    /// Those that came to a port where somebody listens.
    pub ports: Vec<(u16, usize)>,
}

impl Network {
    /// How many connections there are now. Takes a look at each listener, not at each connection.
    pub fn tcp_states(&self) -> TcpStates {
        let stack = self.borrow();
        let listeners = stack.listeners.iter();
        TcpStates {
            flows: stack.flows.len(),
            backlog: listeners.clone().map(|listening| listening.queue.len()).sum(),
            time_wait: stack.time_wait.iter().filter(|id| stack.flows.get(**id).is_some()).count(),
            ports: listeners.map(|listening| (listening.port, listening.connections)).collect(),
        }
    }
}

impl Stack {
    fn next_listener(&mut self) -> u64 {
        self.listener_count += 1;
        self.listener_count
    }

    fn listening(&mut self, id: ListenerId) -> Option<&mut Listening> {
        self.listeners.iter_mut().find(|listening| listening.id == id)
    }

    fn accept(&mut self, listener: ListenerId, waker: &Waker) -> Option<(FlowId, SocketAddr, SocketAddr)> {
        while let Some(id) = self.listening(listener)?.queue.pop_front() {
            let Some(flow) = self.flows.get_mut(id) else { continue };
            let (local, peer) = flow.tuple.addresses();
            flow.holder = Holder::Stream;
            return Some((id, local, peer));
        }
        self.listening(listener)?.waker = Some(waker.clone());
        None
    }

    fn unlisten(&mut self, id: ListenerId) {
        let Some(at) = self.listeners.iter().position(|listening| listening.id == id) else { return };
        let listening = self.listeners.swap_remove(at);
        for id in listening.queue {
            self.break_off(id);
        }
    }
}
