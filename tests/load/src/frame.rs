//! What the floor does to a frame: the least that makes an answer of it.
//!
//! Addresses and ports change places, byte order and all, so that every checksum stays valid. ARP is answered for
//! whatever address is asked, because a client cannot reach a silent neighbour.

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const PROTOCOL_UDP: u8 = 17;

/// Turns `frame` into its own answer; false where there is none and it must not be sent.
pub fn reflect(frame: &mut [u8], mac: [u8; 6]) -> bool {
    match frame.get(12..14) {
        Some(kind) if kind == ETHERTYPE_IPV4 => reflect_udp(frame),
        Some(kind) if kind == ETHERTYPE_ARP => answer_arp(frame, mac),
        _ => false,
    }
}

/// IPv4 without options, unfragmented, UDP: RFC 791 §3.1, RFC 768.
fn reflect_udp(frame: &mut [u8]) -> bool {
    if frame.len() < 42 || frame[14] != 0x45 || frame[23] != PROTOCOL_UDP || frame[20] & 0x3f != 0 {
        return false;
    }
    swap(frame, 0, 6, 6);
    swap(frame, 26, 30, 4);
    swap(frame, 34, 36, 2);
    true
}

/// RFC 826: the request becomes the reply in place.
fn answer_arp(frame: &mut [u8], mac: [u8; 6]) -> bool {
    if frame.len() < 42 || frame[20..22] != [0, 1] {
        return false;
    }
    frame[21] = 2;
    swap(frame, 22, 32, 10);
    frame[22..28].copy_from_slice(&mac);
    frame.copy_within(32..38, 0);
    frame[6..12].copy_from_slice(&mac);
    true
}

fn swap(frame: &mut [u8], first: usize, second: usize, length: usize) {
    let (head, tail) = frame.split_at_mut(second);
    head[first..first + length].swap_with_slice(&mut tail[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    #[track_caller]
    fn check(frame: &[u8], expect: Option<&[u8]>) {
        let mut answer = frame.to_vec();
        let sent = reflect(&mut answer, MAC);
        assert_eq!(sent.then_some(&answer[..]), expect);
    }

    fn udp(protocol: u8, from: u8, to: u8) -> Vec<u8> {
        let mut frame = vec![0; 50];
        frame[..12].copy_from_slice(&[to, to, to, to, to, to, from, from, from, from, from, from]);
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[23] = protocol;
        frame[26..34].copy_from_slice(&[10, 0, 0, from, 10, 0, 0, to]);
        frame[34..38].copy_from_slice(&[from, 53, to, 53]);
        frame
    }

    #[test]
    fn datagrams_change_direction_and_nothing_else_is_answered() {
        check(&udp(17, 1, 2), Some(&udp(17, 2, 1)));
        check(&udp(6, 1, 2), None);
        check(&udp(17, 1, 2)[..41], None);
        check(&[], None);
    }

    #[test]
    fn arp_is_answered_for_the_address_asked() {
        let request = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x08\x06\0\x01\x08\0\x06\x04\0\x01\
            \x02\0\0\0\0\x01\x0a\0\0\x01\0\0\0\0\0\0\x0a\0\0\x02";
        let reply = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x09\x08\x06\0\x01\x08\0\x06\x04\0\x02\
            \x02\0\0\0\0\x09\x0a\0\0\x02\x02\0\0\0\0\x01\x0a\0\0\x01";
        check(request, Some(reply));
        check(reply, None);
    }
}
