//! How connections from outside begin: a SYN is answered with a cookie and forgotten, its acknowledgement makes a connection.

use super::{
    classify::Segment,
    device::ETHERNET_HEADER,
    flows::{Connection, Flow, FlowId, FourTuple, Holder},
    rest::{Peer, Rest, first_receive_bytes, receive_bound},
    sequence::{self, Sequence},
    stack::Stack,
};
use crate::limits::{CONNECTION_BYTES, FIRST_SEND_BYTES, FLOWS};
use smoltcp::{
    phy::ChecksumCapabilities,
    wire::{
        EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr,
        TcpSeqNumber,
    },
};

impl Stack {
    /// A SYN to the port of a listener, in a frame of `length` bytes.
    pub(super) fn handle_opening(
        &mut self,
        segment: Segment,
        tuple: &FourTuple,
        listener: usize,
        length: usize,
    ) {
        if !self.has_room(listener) {
            return;
        }
        let Some((number, peer)) = self.read_opening(&segment, length) else { return };
        self.read_clock();
        let cookie = self.cookies.make(tuple, number, &peer, self.now);
        let offered = first_receive_bytes(self.listeners[listener].options.receive_buffer);
        self.answer_opening(&segment, &peer, number, cookie, offered);
        self.counters.openings += 1;
    }

    /// A segment of no connection to the port of a listener: the connection that it opens, if it acknowledges our cookie.
    pub(super) fn handle_opened(
        &mut self,
        segment: &Segment,
        tuple: &FourTuple,
        listener: usize,
        length: usize,
    ) -> Opened {
        let (Some(acknowledged), Some((start, _))) =
            (segment.acknowledged, sequence::segment(&self.frame[..length]))
        else {
            return Opened::No;
        };
        self.read_clock();
        let header = &self.frame[start..];
        let number = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let window = u16::from_be_bytes([header[14], header[15]]);
        let cookie = acknowledged.wrapping_sub(1);
        let Some(peer) = self.cookies.check(tuple, number.wrapping_sub(1), cookie, window, self.now) else {
            // Its later data may have overtaken the first.
            return if self.cookies.is_recent(cookie) { Opened::NotNow } else { Opened::No };
        };
        if !self.has_room(listener) {
            return Opened::NotNow; // the peer says it again
        }
        let listening = &mut self.listeners[listener];
        let rest = Connection::Resting(Rest::default());
        let mut flow = Flow::new(rest, *tuple, Holder::Backlog, &listening.options);
        flow.listener = Some(listening.id);
        flow.peer = Some(peer);
        flow.options.receive_buffer = receive_bound(listening.options.receive_buffer);
        flow.receive_bytes = first_receive_bytes(flow.options.receive_buffer);
        flow.send_bytes = listening.options.send_buffer.min(FIRST_SEND_BYTES);
        (flow.written, flow.read, flow.active) = (acknowledged, number, self.now);
        flow.sequence = Sequence::settled(acknowledged, number);
        let reserved = listening.queue.try_reserve(1).and_then(|()| self.dirty.try_reserve(1));
        let Ok(id) = reserved.and_then(|()| self.flows.insert(flow)) else {
            self.counters.no_memory += 1;
            return Opened::NotNow;
        };
        self.mark_dirty(id); // for its timer
        let listening = &mut self.listeners[listener];
        listening.connections += 1;
        listening.queue.push_back(id);
        self.counters.connections += 1;
        if let Some(waker) = listening.waker.take() {
            waker.wake();
        }
        Opened::Yes(id)
    }

    /// Whether a listener takes another connection; counted where not.
    fn has_room(&mut self, listener: usize) -> bool {
        let listening = &self.listeners[listener];
        let refused = if listening.queue.len() >= listening.options.backlog {
            &mut self.counters.backlog_full
        } else if listening.connections >= listening.options.connections || self.flows.len() >= FLOWS {
            &mut self.counters.connection_limit
        } else if !self.has_memory_for(CONNECTION_BYTES) {
            &mut self.counters.no_memory
        } else {
            return true;
        };
        *refused += 1;
        false
    }

    /// What a SYN says: its number and the peer's options.
    fn read_opening(&self, segment: &Segment, length: usize) -> Option<(u32, Peer)> {
        let (start, end) = sequence::segment(&self.frame[..length])?;
        let packet = TcpPacket::new_checked(&self.frame[start..end]).ok()?;
        let (remote, local) = (segment.remote.ip().into(), segment.local.ip().into());
        let tcp = TcpRepr::parse(&packet, &remote, &local, &ChecksumCapabilities::ignored()).ok()?;
        let peer = Peer {
            segment: tcp.max_seg_size.unwrap_or(0), // rounded up to RFC 9293 §3.7.1's default
            scale: tcp.window_scale,
            selective: tcp.sack_permitted,
            window: tcp.window_len,
        };
        Some((tcp.seq_number.0 as u32, peer))
    }

    /// Sends a SYN-ACK to where the frame came from.
    fn answer_opening(&mut self, segment: &Segment, peer: &Peer, number: u32, cookie: u32, offered: usize) {
        let mut tcp = TcpRepr {
            src_port: segment.local.port(),
            dst_port: segment.remote.port(),
            control: TcpControl::Syn,
            seq_number: TcpSeqNumber(cookie as i32),
            ack_number: Some(TcpSeqNumber(number.wrapping_add(1) as i32)),
            window_len: u16::try_from(offered).unwrap_or(u16::MAX),
            window_scale: peer.scale.map(|_| 0), // our windows fit the field as they are
            max_seg_size: None,
            sack_permitted: peer.selective,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let ip = |length| {
            IpRepr::new(segment.local.ip().into(), segment.remote.ip().into(), IpProtocol::Tcp, length, 64)
        };
        let headers = ip(0).header_len() + 20; // RFC 6691
        tcp.max_seg_size = u16::try_from(self.device.mtu().saturating_sub(headers)).ok();
        let ip = ip(tcp.buffer_len());
        let length = ETHERNET_HEADER + ip.buffer_len();
        let Some(bytes) = self.scratch.get_mut(..length) else { return };
        bytes.fill(0);
        let mut frame = EthernetFrame::new_unchecked(bytes);
        let [.., a, b, c, d, e, f] = *self.frame.first_chunk::<12>().expect("it was classified");
        frame.set_dst_addr(EthernetAddress([a, b, c, d, e, f]));
        frame.set_src_addr(EthernetAddress(self.ours.mac));
        frame.set_ethertype(if segment.local.is_ipv4() {
            EthernetProtocol::Ipv4
        } else {
            EthernetProtocol::Ipv6
        });
        let checksums = ChecksumCapabilities::default();
        ip.emit(&mut *frame.payload_mut(), &checksums);
        let mut packet = TcpPacket::new_unchecked(&mut frame.payload_mut()[ip.header_len()..]);
        tcp.emit(&mut packet, &ip.src_addr(), &ip.dst_addr(), &checksums);
        self.transmit_scratch(length);
    }
}

/// What became of a segment of no connection.
pub(super) enum Opened {
    /// It opens none.
    No,
    /// It belongs to one that is about to open, or for which there is no room now.
    NotNow,
    /// This one.
    Yes(FlowId),
}
