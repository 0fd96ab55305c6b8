//! When a connection rests, wakes and grows: who has how much memory for buffers, and for how long.

use super::{
    flows::{Connection, Flow, FlowId, Holder},
    rest::{Rest, is_settled},
    stack::Stack,
    timers::Micros,
};
use crate::limits::{
    ANSWER_BYTES, FIRST_RECEIVE_BYTES, FIRST_SEND_BYTES, GROWTH_PART, LAST_BYTES, MEMORY_RESERVE,
    MEMORY_RESERVE_PART, REST_SECONDS,
};
use platform::Memory;

const REST_MICROS: Micros = REST_SECONDS as Micros * 1_000_000;
/// By how much a buffer grows that was too small.
const GROWTH: usize = 4;

impl Flow {
    /// When it may rest, if nothing happens until then.
    pub(super) fn rests_at(&self) -> Option<Micros> {
        let may = self.peer.is_some()
            && self.options.keep_alive.is_none()
            && matches!(self.holder, Holder::Stream | Holder::Backlog)
            && self.socket().is_some_and(is_settled);
        may.then_some(self.active + REST_MICROS)
    }

    /// When a resting connection has been silent for too long.
    fn ends_at(&self) -> Option<Micros> {
        self.options.idle_timeout.map(|timeout| self.active.saturating_add(timeout.as_micros() as Micros))
    }

    /// Whether its socket can be replaced by one with a larger buffer to send, once everything is acknowledged.
    fn can_grow(&self) -> bool {
        self.peer.is_some() && self.send_bytes < self.options.send_buffer
    }
}

impl Stack {
    /// Gives a resting connection a socket. Whether it has one.
    pub(super) fn awaken(&mut self, id: FlowId) -> bool {
        let Some(flow) = self.flows.get(id) else { return false };
        if flow.socket().is_some() {
            return true;
        }
        let (receive, send) = (flow.receive_bytes, flow.send_bytes);
        let sizes = [(receive, send), (receive.min(FIRST_RECEIVE_BYTES), send.min(FIRST_SEND_BYTES))];
        let answers = (self.woken + 1) * ANSWER_BYTES;
        let size = sizes.into_iter().find(|&(receive, send)| self.has_memory_for(receive + send + answers));
        // Those that there are have a part of the reserve, for those that might be are refused first.
        let size =
            size.or_else(|| sizes.last().copied().filter(|_| self.has_memory_for_those_there(answers)));
        let awake = size.is_some_and(|(receive, send)| self.replace(id, receive, send));
        self.counters.no_memory += u64::from(!awake);
        self.woken += usize::from(awake);
        awake
    }

    /// Gives a connection that is to end the smallest of sockets. Whether it has one; without memory for that it is gone.
    pub(super) fn awaken_to_end(&mut self, id: FlowId) -> bool {
        let Some(flow) = self.flows.get(id) else { return false };
        let awake = flow.socket().is_some() || self.replace(id, LAST_BYTES, LAST_BYTES);
        if !awake {
            self.remove_flow(id);
        }
        awake
    }

    /// Gives a connection in which nothing is under way a socket with buffers of this size. Whether there was memory.
    fn replace(&mut self, id: FlowId, receive_bytes: usize, send_bytes: usize) -> bool {
        let (mtu, now) = (self.device.mtu(), self.now);
        let Some(flow) = self.flows.get_mut(id) else { return false };
        let before = (flow.receive_bytes, flow.send_bytes);
        let rested = flow.socket().is_none();
        (flow.receive_bytes, flow.send_bytes) = (receive_bytes, send_bytes);
        if self.workshop.awaken(flow, mtu, now).is_err() {
            (flow.receive_bytes, flow.send_bytes) = before;
            return false;
        }
        flow.active = now;
        (flow.crowded, flow.flooded) = (false, false);
        self.flows.resting -= usize::from(rested);
        self.mark_dirty(id);
        true
    }

    /// Makes as much room for `bytes` that the service wants to write as can be had now. Whether it is worth waiting until
    /// everything is acknowledged, since there can be more then.
    pub(super) fn make_room(&mut self, id: FlowId, bytes: usize) -> bool {
        let Some(flow) = self.flows.get_mut(id) else { return false };
        let (receive, send) = (flow.receive_bytes, flow.send_bytes);
        if (bytes <= send && !flow.crowded) || !flow.can_grow() {
            return false;
        }
        let wanted = if flow.crowded { flow.options.send_buffer } else { bytes.next_power_of_two() };
        let wanted = wanted.clamp(send, flow.options.send_buffer);
        let Some(socket) = flow.socket() else {
            flow.send_bytes = wanted;
            return false;
        };
        let (settled, waits) = (is_settled(socket), flow.crowded && socket.send_queue() > 0);
        if !self.has_memory_to_grow(wanted - send) {
            return false;
        }
        if settled && self.replace(id, receive, wanted) {
            self.counters.grown += 1;
        }
        waits
    }

    /// Lets a connection in which nothing is under way have a larger buffer, or rest. Whether it rests.
    pub(super) fn settle(&mut self, id: FlowId) -> bool {
        let Some(flow) = self.flows.get_mut(id) else { return false };
        let Some(at) = flow.rests_at() else { return false };
        let (receive, send) = (flow.receive_bytes, flow.send_bytes);
        let larger_receive = if flow.flooded { receive * GROWTH } else { receive };
        let larger_send = if flow.crowded { flow.options.send_buffer } else { send };
        let larger = (larger_receive.min(flow.options.receive_buffer), larger_send);
        (flow.crowded, flow.flooded) = (false, false);
        if larger != (receive, send) {
            if self.has_memory_to_grow(larger.0 + larger.1 - receive - send)
                && self.replace(id, larger.0, larger.1)
            {
                self.counters.grown += 1;
            }
            return false;
        }
        if at > self.now {
            return false;
        }
        // Whoever waits for the socket has to wait for something else.
        if let Some(socket) = flow.socket_mut() {
            socket.abort();
        }
        flow.connection = Connection::Resting(Rest::default());
        flow.send_bytes = flow.options.send_buffer.min(FIRST_SEND_BYTES);
        self.flows.resting += 1;
        self.counters.rested += 1;
        self.arm_resting(id);
        true
    }

    /// The time of a resting connection has come.
    pub(super) fn visit_resting(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get(id) else { return };
        if flow.ends_at().is_some_and(|at| at <= self.now) {
            if self.awaken_to_end(id) {
                self.abort(id);
            }
        } else {
            self.arm_resting(id);
        }
    }

    fn arm_resting(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.wanted = flow.ends_at();
        flow.armed = self.timers.arm(id, flow.armed, flow.wanted);
    }

    /// Whether half of the reserve is left after so many bytes.
    fn has_memory_for_those_there(&self, bytes: usize) -> bool {
        let Memory { total, used } = (self.memory)();
        total == 0 || used + bytes + MEMORY_RESERVE.max(total / MEMORY_RESERVE_PART) / 2 <= total
    }

    /// Whether buffers may grow by so many bytes, with a good part of the memory left for others.
    fn has_memory_to_grow(&self, bytes: usize) -> bool {
        let Memory { total, used } = (self.memory)();
        // The host does not say: there the allocator does.
        total == 0 || used + bytes + total / GROWTH_PART <= total
    }
}
