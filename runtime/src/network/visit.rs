//! Visits: what a flow or the base sockets want to send, and what became of them.

use super::{
    flows::{Connection, Flow, FlowId, Holder},
    stack::{Sockets, Stack},
    timers::Micros,
};
use crate::limits::{CLOSING_SECONDS, NEIGHBOUR_QUESTIONS, SEGMENTS_PER_VISIT, TIME_WAIT};
use smoltcp::{
    iface::SocketSet,
    socket::tcp::{self, State},
    time::{Duration, Instant},
};

/// Microseconds until a socket that wants to send at once but did not is asked again.
const RETRY_MICROS: Micros = 1_000;
/// Microseconds for which smoltcp leaves a socket alone whose neighbour it is asking for.
const DISCOVERY_MICROS: Micros = 1_000_000;
/// Flows without a neighbour below which it is not worth looking for those that are gone.
const SMALL: usize = 64;
/// Packets the base sockets may send in one visit.
const PACKETS_PER_VISIT: usize = 64;

impl Stack {
    /// Puts a flow on the list of those to visit in this turn or the next.
    pub(super) fn mark_dirty(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(id).filter(|flow| !flow.dirty) {
            flow.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Visits again the flows that wait for a hardware address: one may have come.
    pub(super) fn retry_unresolved(&mut self) {
        for id in std::mem::take(&mut self.unresolved) {
            if let Some(flow) = self.flows.get_mut(id) {
                flow.unresolved = false;
                self.mark_dirty(id);
            }
        }
    }

    /// Those that are gone are forgotten when they are the majority.
    fn note_unresolved(&mut self, id: FlowId) {
        if self.unresolved.len() > SMALL + 2 * self.flows.len() {
            let flows = &self.flows;
            self.unresolved.retain(|&id| flows.get(id).is_some());
        }
        self.unresolved.push(id);
    }

    /// Puts the flows whose time has come on the list. One whose timer has moved on since is noted anew, and its socket, which
    /// is in no cache by now, left alone.
    pub(super) fn mark_due(&mut self) {
        while let Some((at, id)) = self.timers.pop(self.now) {
            let Some(flow) = self.flows.get_mut(id).filter(|flow| flow.armed == Some(at)) else { continue };
            let due = flow.wanted.is_some_and(|wanted| wanted <= self.now);
            flow.armed = if due { None } else { self.timers.arm(id, None, flow.wanted) };
            if due {
                self.mark_dirty(id);
            }
        }
    }

    /// Lets a flow send, then sees what became of it.
    pub(super) fn visit_flow(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.dirty = false;
        self.visits.0 += 1;
        if flow.socket().is_none() {
            return self.visit_resting(id);
        }
        let sent = (0..SEGMENTS_PER_VISIT).take_while(|_| self.egress(Sockets::Flow(id))).count();
        if sent == SEGMENTS_PER_VISIT {
            self.mark_dirty(id);
        }
        if self.is_lost(id) || self.advance(id) {
            self.remove_flow(id);
        } else if !self.settle(id) {
            self.arm(id, sent > 0);
        }
    }

    /// Whether nobody wants a flow whose neighbour is not there. smoltcp would ask for the neighbour for ever, and keep even
    /// a connection that has timed out, since its RST does not leave.
    fn is_lost(&mut self, id: FlowId) -> bool {
        let Some(flow) = self.flows.get_mut(id) else { return false };
        let lost = flow.questions >= NEIGHBOUR_QUESTIONS;
        let holder = flow.holder;
        if lost
            && holder == Holder::Stream
            && let Some(socket) = flow.socket_mut().filter(|socket| socket.state() != State::Closed)
        {
            socket.abort(); // its holder hears of it, and lets go
        }
        lost && holder != Holder::Stream
    }

    /// Moves a flow from holder to holder as its state asks for. Whether it is over and nobody wants it.
    fn advance(&mut self, id: FlowId) -> bool {
        let Some(flow) = self.flows.get_mut(id) else { return false };
        let Some(socket) = flow.socket() else { return false };
        let over = is_over(socket);
        match flow.holder {
            Holder::Backlog => over,
            Holder::Stream => {
                if over {
                    let tuple = flow.tuple;
                    self.flows.forget_tuple(id, &tuple);
                }
                false
            }
            Holder::Nobody => {
                if socket.can_recv() {
                    // RFC 1122 §4.2.2.13: data after the close is answered with a RST, so that the peer knows it is lost.
                    self.abort(id);
                } else if socket.state() == State::TimeWait && !flow.time_wait {
                    flow.time_wait = true;
                    self.time_wait.push_back(id);
                    self.bound_time_wait();
                }
                over
            }
        }
    }

    fn bound_time_wait(&mut self) {
        while self.time_wait.len() > TIME_WAIT {
            let Some(oldest) = self.time_wait.pop_front() else { return };
            if self.flows.get(oldest).is_some() {
                self.counters.time_wait_dropped += 1;
                self.remove_flow(oldest);
            }
        }
    }

    /// Notes when the flow, which has `sent` something or not, wants to be visited next.
    fn arm(&mut self, id: FlowId, sent: bool) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        let Connection::Awake(set, _) = &flow.connection else { return };
        let polled = self.interface.poll_at(Instant::from_micros(self.now), set).map(|at| at.total_micros());
        // smoltcp does not say that it asks for a neighbour. Another timer may be a second away by chance, but not so often.
        let asked = !sent && polled == Some(self.now + DISCOVERY_MICROS);
        flow.questions = if sent { 0 } else { flow.questions + u32::from(asked) };
        let unresolved = asked && !flow.unresolved;
        flow.unresolved |= unresolved;
        let wanted = [polled, flow.rests_at()].into_iter().flatten().min();
        let wanted = wanted.map(|at| if at <= self.now { self.now + RETRY_MICROS } else { at });
        flow.wanted = wanted;
        flow.armed = self.timers.arm(id, flow.armed, wanted);
        if unresolved {
            self.note_unresolved(id);
        }
    }

    /// Takes a flow out of everything.
    pub(super) fn remove_flow(&mut self, id: FlowId) {
        let Some(flow) = self.flows.remove(id) else { return };
        if let Some(listening) =
            self.listeners.iter_mut().find(|listening| Some(listening.id) == flow.listener)
        {
            listening.connections -= 1;
            if flow.holder == Holder::Backlog {
                listening.queue.retain(|&queued| queued != id);
            }
        }
    }

    /// The service lets go of a connection: it ends on its own, gracefully if everything that came was read.
    pub(super) fn let_go(&mut self, id: FlowId) {
        if !self.awaken_to_end(id) {
            return;
        }
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.holder = Holder::Nobody;
        let Some(socket) = flow.socket_mut() else { return };
        if socket.can_recv() {
            socket.abort(); // RFC 1122 §4.2.2.13, as above
        } else {
            socket.close();
            socket.set_timeout(Some(Duration::from_secs(CLOSING_SECONDS)));
            socket.set_keep_alive(None);
        }
        self.mark_dirty(id);
    }

    /// Nobody wants a connection any more: its peer is told by a RST.
    pub(super) fn break_off(&mut self, id: FlowId) {
        if self.awaken_to_end(id) {
            if let Some(flow) = self.flows.get_mut(id) {
                flow.holder = Holder::Nobody;
            }
            self.abort(id);
        }
    }

    /// Has a RST sent, and whoever holds the connection hear of it.
    pub(super) fn abort(&mut self, id: FlowId) {
        if let Some(socket) = self.flows.get_mut(id).and_then(Flow::socket_mut) {
            socket.abort();
            self.mark_dirty(id);
        }
    }

    /// Lets the base sockets send and everything hear of what they received.
    pub(super) fn visit_base(&mut self) {
        self.base_dirty = false;
        self.visits.1 += 1;
        self.answer_slowly();
        self.handle_addressing();
        self.drop_unresolved_datagrams();
        for _ in 0..PACKETS_PER_VISIT {
            let sent = self.egress(Sockets::Base);
            // A large datagram leaves as fragments, one with each call; all of them must be gone before the next one.
            let fragments =
                self.interface.poll_at(Instant::from_micros(self.now), &SocketSet::new(Vec::new())).is_some();
            if !sent && !fragments {
                break;
            }
        }
        let wanted =
            self.interface.poll_at(Instant::from_micros(self.now), &self.base).map(|at| at.total_micros());
        self.base_deadline = [wanted, self.addressing.deadline()]
            .into_iter()
            .flatten()
            .min()
            .map(|at| if at <= self.now { self.now + RETRY_MICROS } else { at });
    }
}

/// Whether nothing more will be sent or received: also the RST of an aborted connection has left.
pub(super) fn is_over(socket: &tcp::Socket) -> bool {
    socket.state() == State::Closed && socket.remote_endpoint().is_none()
}
