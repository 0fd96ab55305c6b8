//! What network and log channels carry, as Solo5's bindings and Muen's `muennet` have it.

use crate::channel::Protocol;
use crate::limits::{FRAME_BYTES_MAX, LOG_BYTES};

/// Ethernet frames: 1514 bytes, then their length in two.
pub const NETWORK: Protocol = Protocol { number: 0x7ade_5c54_9b08_e814, size: FRAME_BYTES_MAX + 2 };

/// Lines of text: the processor's counter in eight bytes, then 56 of text.
pub const LOG: Protocol = Protocol { number: 0xf007_8909_4b6f_70cf, size: 8 + LOG_BYTES };

/// Writes `frame` as a packet; None: it is longer than a packet can say.
pub fn encode(frame: &[u8]) -> Option<[u8; NETWORK.size]> {
    let mut packet = [0; NETWORK.size];
    packet.get_mut(..FRAME_BYTES_MAX)?.get_mut(..frame.len())?.copy_from_slice(frame);
    packet[FRAME_BYTES_MAX..].copy_from_slice(&(frame.len() as u16).to_le_bytes());
    Some(packet)
}

/// The frame in a packet; None: its length is more than a packet holds.
pub fn decode(packet: &[u8; NETWORK.size]) -> Option<&[u8]> {
    let (frame, length) = packet.split_at(FRAME_BYTES_MAX);
    frame.get(..usize::from(u16::from_le_bytes([length[0], length[1]])))
}

/// A line of the log; what does not fit is the caller's to send next.
pub fn log_line(counter: u64, text: &[u8]) -> [u8; LOG.size] {
    let mut packet = [0; LOG.size];
    packet[..8].copy_from_slice(&counter.to_le_bytes());
    let length = text.len().min(LOG_BYTES);
    packet[8..8 + length].copy_from_slice(&text[..length]);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(length: usize, fits: bool) {
        let frame = [0x5a; 2000];
        let packet = encode(&frame[..length]);
        assert_eq!(packet.is_some(), fits);
        if let Some(packet) = packet {
            assert_eq!(decode(&packet), Some(&frame[..length]));
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        for (length, fits) in [(0, true), (60, true), (1514, true), (1515, false), (1517, false)] {
            check(length, fits);
        }
    }

    #[test]
    fn a_length_that_lies_gives_no_frame() {
        let mut packet = [0; NETWORK.size];
        for (length, frame) in [(1514_u16, true), (1515, false), (u16::MAX, false)] {
            packet[FRAME_BYTES_MAX..].copy_from_slice(&length.to_le_bytes());
            assert_eq!(decode(&packet).is_some(), frame, "{length}");
        }
    }
}
