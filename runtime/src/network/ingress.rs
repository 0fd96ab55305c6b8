//! What is done with one received frame.

use super::{
    classify::{Base, Segment, Verdict, classify},
    device::Received,
    flows::{FlowId, FourTuple, Holder},
    listener::TcpOptions,
    opening::Opened,
    responder::Outcome,
    stack::{Sockets, Stack},
};
use smoltcp::socket::tcp;
use std::collections::TryReserveError;

impl Stack {
    /// Handles the frame that was received into `frame`. Whether the fast path, which touches no socket, did.
    #[inline]
    pub(super) fn handle_frame(&mut self, Received { length, verified }: Received) -> bool {
        match classify(&self.frame[..length], verified, &self.ours) {
            Verdict::Datagram(datagram) => match self.answer(datagram, length, verified) {
                Outcome::Quiet => return true,
                Outcome::Woke => {}
                Outcome::NotOurs => self.handle_base(Base::Udp(datagram.port), length),
            },
            Verdict::Segment(segment) => self.handle_segment(segment, length),
            Verdict::Base(kind) => self.handle_base(kind, length),
            Verdict::Drop(reason) => {
                self.counters.dropped(reason);
                return true;
            }
        }
        false
    }

    fn handle_base(&mut self, kind: Base, length: usize) {
        self.read_clock();
        let unasked = match kind {
            Base::Udp(port) => !self.udp_port_taken(port) && !self.addressing.wants_port(port),
            Base::Protocol | Base::Probe(_) => true,
            Base::Neighbour | Base::Icmp | Base::Icmpv6(_) | Base::Fragment => false,
        };
        if unasked && !self.errors.allow(self.now) {
            self.counters.errors_suppressed += 1;
            return;
        }
        if let Base::Probe(address) = kind {
            return self.send_arp_announcement(address); // smoltcp drops what has no sender
        }
        if self.handle_icmpv6(kind, length) {
            return;
        }
        self.ingress(length, Sockets::Base);
        self.base_dirty = true;
        if kind == Base::Neighbour {
            self.retry_unresolved();
        }
    }

    fn handle_segment(&mut self, segment: Segment, length: usize) {
        let tuple = FourTuple::new(segment.local, segment.remote);
        if let Some(id) = self.flows.find(&tuple) {
            if !(segment.opening && self.is_forgettable(id)) {
                return self.handle_segment_of(id, &segment, length);
            }
            self.remove_flow(id);
        }
        let port = segment.local.port();
        let listener = self.listeners.iter().position(|listener| listener.port == port && !segment.reset);
        match listener {
            Some(listener) if segment.opening => {
                return self.handle_opening(segment, &tuple, listener, length);
            }
            Some(listener) => match self.handle_opened(&segment, &tuple, listener, length) {
                // One without data or FIN has said everything.
                Opened::Yes(_) if segment.bare => return,
                Opened::Yes(id) => return self.handle_segment_of(id, &segment, length),
                Opened::NotNow => return,
                Opened::No => {}
            },
            None => {}
        }
        if !segment.reset {
            self.refuse(length);
        }
    }

    /// A segment of a connection.
    fn handle_segment_of(&mut self, id: FlowId, segment: &Segment, length: usize) {
        self.read_clock();
        if !self.awaken(id) {
            return; // the peer says it again
        }
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.active = self.now;
        if let Some(number) = segment.acknowledged {
            flow.sequence.handle_acknowledgement(number);
        }
        if let Some(peer) = &mut flow.peer {
            peer.window = segment.window;
        }
        flow.sequence.translate(&mut self.frame[..length]);
        self.ingress(length, Sockets::Flow(id));
        self.mark_dirty(id);
    }

    /// Answers a segment that belongs to no connection with a RST, at a bounded rate.
    fn refuse(&mut self, length: usize) {
        self.read_clock();
        if self.errors.allow(self.now) {
            self.ingress(length, Sockets::Base);
        } else {
            self.counters.errors_suppressed += 1;
        }
    }

    /// RFC 9293 §3.6.1 lets a SYN reopen a connection in TIME-WAIT if its number is above the last. smoltcp does not show
    /// that number, so any SYN does it here: the connection is over in both directions by then.
    fn is_forgettable(&self, id: FlowId) -> bool {
        self.flows.get(id).is_some_and(|flow| {
            flow.holder == Holder::Nobody
                && flow.socket().is_some_and(|socket| socket.state() == tcp::State::TimeWait)
        })
    }
}

/// A TCP socket with the given options and bytes of buffers, if there is memory for these.
pub(super) fn new_tcp_socket(
    options: &TcpOptions,
    receive_bytes: usize,
    send_bytes: usize,
) -> Result<tcp::Socket<'static>, TryReserveError> {
    let (receive, send) = (buffer(receive_bytes)?, buffer(send_bytes)?);
    let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
    // Without this smoltcp sends whole windows into a congested path. Reno and not CUBIC: with windows of at most some
    // hundred KiB the two hardly differ, and CUBIC needs floating-point roots, which an image without libm does not have.
    socket.set_congestion_control(tcp::CongestionControl::Reno);
    socket.set_nagle_enabled(options.nagle);
    socket.set_keep_alive(options.keep_alive.map(Into::into));
    Ok(socket)
}

fn buffer(length: usize) -> Result<Vec<u8>, TryReserveError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length)?;
    buffer.resize(length, 0);
    Ok(buffer)
}
