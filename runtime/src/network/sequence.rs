//! Keeps the sequence numbers of acknowledgements where the peer takes them.
//!
//! When smoltcp (0.14) retransmits it rewinds its idea of what was sent, and segments without data then carry an old sequence
//! number. A peer takes the acknowledgement in such a segment for out of date (RFC 9293 §3.10.7.4) and drops it. If both ends
//! do that, as two images sending to each other over a lossy path, neither ever hears the other again until both time out.
//! RFC 9293 §3.4 has SND.NXT never go back. What was sent beyond the peer's window is not the answer either, for then the
//! peer drops it as too new. So a segment without data that would start before what the peer says it expects starts there:
//! that number is always good, and if the peer has moved on since, it answers with the new one.
//!
//! A connection that has rested (`rest.rs`) has a new socket, whose numbers are others than those on the wire: by `offset`.

use super::device::ETHERNET_HEADER;

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// What is known of the sequence numbers of a connection, from the frames themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The number after the highest that was sent; `None` before the first.
    sent: Option<u32>,
    /// The highest that the peer has said it expects.
    expected: Option<u32>,
    /// The last acknowledgement that was sent.
    acknowledged: u32,
    /// What the socket's own numbers are ahead of those on the wire.
    offset: u32,
}

impl Sequence {
    /// Of a connection of which everything before `next` was sent and acknowledged, and everything before `expected` received.
    pub fn settled(next: u32, expected: u32) -> Self {
        Self { sent: Some(next), expected: Some(next), acknowledged: expected, offset: 0 }
    }

    /// The last acknowledgement that was sent.
    pub fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// From now on the socket's own numbers are this much ahead of those on the wire.
    pub fn set_offset(&mut self, offset: u32) {
        self.offset = offset;
    }

    /// Puts the socket's own number into the acknowledgement of a frame that was received. Its checksum is not looked at any more.
    pub fn translate(&self, frame: &mut [u8]) {
        if self.offset != 0
            && let Some((start, _)) = segment(frame)
            && let Some(number) = frame[start + 8..].first_chunk_mut::<4>()
        {
            *number = u32::from_be_bytes(*number).wrapping_add(self.offset).to_be_bytes();
        }
    }

    /// The peer has acknowledged everything before `number`, whether or not smoltcp takes its segment. What was never sent
    /// cannot be acknowledged: such a segment is somebody else's guess.
    pub fn handle_acknowledgement(&mut self, number: u32) {
        let possible = self.sent.is_some_and(|sent| !before(sent, number));
        if possible && self.expected.is_none_or(|expected| before(expected, number)) {
            self.expected = Some(number);
        }
    }

    /// Looks at a frame that is about to be sent, and mends the sequence number of a segment without data.
    pub fn mend(&mut self, frame: &mut [u8]) {
        let Some((start, end)) = segment(frame) else { return };
        let segment = &mut frame[start..end];
        let own = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
        let number = own.wrapping_sub(self.offset);
        if self.offset != 0 {
            set_sequence(segment, own, number);
        }
        if segment[13] & ACK != 0 {
            self.acknowledged = u32::from_be_bytes([segment[8], segment[9], segment[10], segment[11]]);
        }
        let data = segment.len() - usize::from(segment[12] >> 4) * 4;
        let flags = segment[13] & (FIN | SYN);
        let next = number.wrapping_add(data as u32).wrapping_add(flags.count_ones());
        if self.sent.is_none_or(|sent| before(sent, next)) {
            self.sent = Some(next);
        }
        if let Some(expected) =
            self.expected.filter(|&expected| data == 0 && flags == 0 && before(number, expected))
        {
            set_sequence(segment, number, expected);
        }
    }
}

/// Where the TCP segment of a frame lies, if it has one that is whole.
pub(super) fn segment(frame: &[u8]) -> Option<(usize, usize)> {
    let packet = frame.get(ETHERNET_HEADER..)?;
    let (header, length) = match frame[12..14] {
        [0x08, 0x00] if *packet.get(9)? == 6 => {
            (usize::from(packet[0] & 15) * 4, usize::from(u16::from_be_bytes([packet[2], packet[3]])))
        }
        [0x86, 0xdd] => {
            // Hop-by-hop options (RFC 8200 §4.3) may stand before a segment that was received.
            let (next, header) = match *packet.get(6)? {
                0 => (*packet.get(40)?, 48 + usize::from(*packet.get(41)?) * 8),
                next => (next, 40),
            };
            let length = 40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            (next == 6).then_some((header, length))?
        }
        _ => return None,
    };
    let segment = packet.get(header..length)?;
    let whole = segment.len() >= 20 && segment.len() >= usize::from(segment[12] >> 4) * 4;
    whole.then_some((ETHERNET_HEADER + header, ETHERNET_HEADER + length))
}

/// Whether `first` comes before `second` in the sequence space.
fn before(first: u32, second: u32) -> bool {
    (first.wrapping_sub(second) as i32) < 0
}

/// Writes a sequence number and brings the checksum along (RFC 1624, equation 3).
fn set_sequence(segment: &mut [u8], old: u32, new: u32) {
    segment[4..8].copy_from_slice(&new.to_be_bytes());
    let checksum = u16::from_be_bytes([segment[16], segment[17]]);
    let halves = |word: u32| (word >> 16) + (word & 0xffff);
    let mut sum = u32::from(!checksum) + halves(!old) + halves(new);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    segment[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::classify::{Addresses, Verdict, classify};
    use smoltcp::{
        phy::ChecksumCapabilities,
        wire::{
            EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr,
            TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
        },
    };

    const SOURCE: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
    const DESTINATION: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);

    fn frame(sequence: u32, control: TcpControl, payload: &[u8]) -> Vec<u8> {
        let tcp = TcpRepr {
            src_port: 1,
            dst_port: 2,
            control,
            seq_number: TcpSeqNumber(sequence as i32),
            ack_number: Some(TcpSeqNumber(77)),
            window_len: 1_000,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let ip = Ipv4Repr {
            src_addr: SOURCE,
            dst_addr: DESTINATION,
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; ETHERNET_HEADER + ip.buffer_len() + tcp.buffer_len()];
        let mut ethernet = EthernetFrame::new_unchecked(&mut bytes);
        ethernet.set_dst_addr(EthernetAddress([2, 0, 0, 0, 0, 2]));
        ethernet.set_src_addr(EthernetAddress([2, 0, 0, 0, 0, 1]));
        ethernet.set_ethertype(EthernetProtocol::Ipv4);
        let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
        ip.emit(&mut packet, &ChecksumCapabilities::default());
        let mut segment = TcpPacket::new_unchecked(packet.payload_mut());
        tcp.emit(&mut segment, &SOURCE.into(), &DESTINATION.into(), &ChecksumCapabilities::default());
        bytes
    }

    fn addresses() -> Addresses {
        let ipv4 = vec![(DESTINATION, Ipv4Address::BROADCAST)];
        Addresses { mac: [2, 0, 0, 0, 0, 2], ipv4, ipv6: Vec::new() }
    }

    /// Sends a segment after the peer has said that it expects `expected` of 9000 bytes sent; its sequence number must be
    /// `expect`, and its checksum right.
    #[track_caller]
    fn check(expected: u32, number: u32, control: TcpControl, payload: &[u8], expect: u32) {
        let mut sequence = Sequence { sent: Some(expected.wrapping_add(9_000)), ..Sequence::default() };
        sequence.handle_acknowledgement(expected);
        let mut bytes = frame(number, control, payload);
        sequence.mend(&mut bytes);
        assert!(
            matches!(classify(&bytes, false, &addresses()), Verdict::Segment(_)),
            "the checksum is wrong"
        );
        assert_eq!(u32::from_be_bytes(bytes[38..42].try_into().expect("four bytes")), expect);
    }

    #[test]
    fn an_acknowledgement_starts_where_the_peer_expects_it() {
        check(5_000, 1_000, TcpControl::None, b"", 5_000);
        check(5_000, 0xffff_f000, TcpControl::None, b"", 5_000);
        check(1_000, 0xffff_f000, TcpControl::Rst, b"", 1_000);
    }

    #[test]
    fn the_rest_stays_where_it_is() {
        check(5_000, 1_000, TcpControl::Psh, b"again", 1_000);
        check(5_000, 1_000, TcpControl::Fin, b"", 1_000);
        check(5_000, 5_000, TcpControl::None, b"", 5_000);
        check(5_000, 6_000, TcpControl::None, b"", 6_000);
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let mut sequence = Sequence::default();
        sequence.handle_acknowledgement(1);
        sequence.mend(&mut frame(10, TcpControl::Syn, b""));
        sequence.mend(&mut frame(11, TcpControl::Psh, b"12345"));
        sequence.mend(&mut frame(11, TcpControl::Psh, b"12"));
        for (number, expect) in [(17, None), (16, Some(16)), (12, Some(16)), (0x8000_0000, Some(16))] {
            sequence.handle_acknowledgement(number);
            assert_eq!(sequence.expected, expect, "after {number}");
        }
    }

    #[test]
    fn a_socket_with_numbers_of_its_own_is_understood() {
        for (own, wire) in [(7_000_u32, 3_000_u32), (100, u32::MAX - 50), (0x8000_0000, 0x7fff_ffff)] {
            let mut sequence = Sequence::settled(wire, 70);
            sequence.set_offset(own.wrapping_sub(wire));
            let mut bytes = frame(own, TcpControl::Psh, b"data");
            sequence.mend(&mut bytes);
            assert!(
                bytes == frame(wire, TcpControl::Psh, b"data"),
                "{own} is sent as {wire}, with its checksum"
            );
            assert_eq!((sequence.sent, sequence.acknowledged()), (Some(wire.wrapping_add(4)), 77));
            // And the other way round.
            bytes[42..46].copy_from_slice(&wire.to_be_bytes());
            sequence.translate(&mut bytes);
            assert_eq!(bytes[42..46], own.to_be_bytes());
        }
    }

    #[test]
    fn other_frames_are_left_alone() {
        for length in 0..60 {
            let mut bytes = frame(1, TcpControl::None, b"data");
            bytes.truncate(length);
            let before = bytes.clone();
            Sequence::settled(9_999, 77).mend(&mut bytes);
            assert_eq!(bytes, before);
        }
    }
}
