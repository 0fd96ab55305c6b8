//! What is done with one received frame.

use super::{
    classify::{Base, Segment, Verdict, classify},
    device::Received,
    flows::{Flow, FlowId, FourTuple, Holder},
    listener::TcpOptions,
    responder::Outcome,
    stack::{Sockets, Stack},
};
use crate::limits::{FLOWS, HALF_OPEN, HALF_OPEN_SECONDS};
use smoltcp::{
    socket::tcp,
    time::Duration,
    wire::{IpAddress, IpListenEndpoint},
};
use std::{collections::TryReserveError, net::SocketAddr};

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
                if let (Some(flow), Some(number)) = (self.flows.get_mut(id), segment.acknowledged) {
                    flow.sequence.handle_acknowledgement(number);
                }
                self.ingress(length, Sockets::Flow(id));
                self.mark_dirty(id);
                return;
            }
            self.remove_flow(id);
        }
        if segment.opening
            && let Some(listener) =
                self.listeners.iter().position(|listener| listener.port == segment.local.port())
        {
            self.handle_opening(segment, tuple, listener, length);
        } else if !segment.reset {
            self.refuse(length);
        }
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
            flow.holder == Holder::Nobody && flow.socket().state() == tcp::State::TimeWait
        })
    }

    /// A SYN to a listening port.
    fn handle_opening(&mut self, segment: Segment, tuple: FourTuple, listener: usize, length: usize) {
        let listening = &mut self.listeners[listener];
        if listening.queue.len() >= listening.options.backlog {
            self.counters.backlog_full += 1;
            return;
        }
        if listening.connections - listening.half_open >= listening.options.connections
            || self.flows.len() >= FLOWS
        {
            self.counters.connection_limit += 1;
            return;
        }
        let (needed, half_open) = (listening.options.memory(), listening.half_open);
        // A connection that is not one yet makes room for one that may be.
        if half_open >= HALF_OPEN || half_open > 0 && !self.has_memory_for(needed) {
            self.drop_oldest_half_open(listener);
        }
        if !self.has_memory_for(needed) {
            self.counters.no_memory += 1;
            return;
        }
        match self.open_flow(segment.local, tuple, listener) {
            Ok(id) => {
                self.ingress(length, Sockets::Flow(id));
                self.mark_dirty(id);
            }
            Err(_) => self.counters.no_memory += 1,
        }
    }

    fn open_flow(
        &mut self,
        local: SocketAddr,
        tuple: FourTuple,
        listener: usize,
    ) -> Result<FlowId, TryReserveError> {
        let listening = &mut self.listeners[listener];
        let mut socket = new_tcp_socket(&listening.options)?;
        socket.set_timeout(Some(Duration::from_secs(HALF_OPEN_SECONDS)));
        let endpoint = IpListenEndpoint { addr: Some(IpAddress::from(local.ip())), port: local.port() };
        // A port is never 0 here and the socket is new, which are the only reasons for listen() to fail.
        let _ = socket.listen(endpoint);
        if listening.half_open_order.len() >= 2 * HALF_OPEN {
            let flows = &self.flows;
            listening
                .half_open_order
                .retain(|&id| flows.get(id).is_some_and(|flow| flow.holder == Holder::HalfOpen));
        }
        listening.half_open_order.try_reserve(1)?;
        self.dirty.try_reserve(1)?;
        let id = self.flows.insert(Flow::new(socket, tuple, Holder::HalfOpen, Some(listening.id))?)?;
        listening.half_open_order.push_back(id);
        listening.half_open += 1;
        listening.connections += 1;
        Ok(id)
    }

    fn drop_oldest_half_open(&mut self, listener: usize) {
        while let Some(id) = self.listeners[listener].half_open_order.pop_front() {
            if self.flows.get(id).is_some_and(|flow| flow.holder == Holder::HalfOpen) {
                self.counters.half_open_dropped += 1;
                self.remove_flow(id);
                return;
            }
        }
    }
}

/// A TCP socket with the given options, if there is memory for its buffers.
pub(super) fn new_tcp_socket(options: &TcpOptions) -> Result<tcp::Socket<'static>, TryReserveError> {
    let (receive, send) = (buffer(options.receive_buffer)?, buffer(options.send_buffer)?);
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
