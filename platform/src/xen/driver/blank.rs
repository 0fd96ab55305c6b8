//! Completes the checksum of a frame that came without: the back end says that it is missing, not where.
//!
//! So it is found in the packet itself. One that leaves no doubt about where it is, is completed from nothing, whatever the
//! field holds; any other frame stays as it is, and fails the check that nobody lifts from it.

use crate::{checksum, net::ETHERNET_HEADER};

const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Bytes of IPv6's fixed header, and of the smallest of IPv4.
const IPV6_HEADER: usize = 40;
const IPV4_HEADER_MIN: usize = 20;

/// Completes the checksum of TCP or UDP in `frame`; `None` if there is none to be found.
pub fn complete(frame: &mut [u8]) -> Option<()> {
    let kind = [*frame.get(12)?, *frame.get(13)?];
    let packet = frame.get_mut(ETHERNET_HEADER..)?;
    match kind {
        TYPE_IPV4 => complete_ipv4(packet),
        TYPE_IPV6 => complete_ipv6(packet),
        _ => None,
    }
}

/// RFC 791 §3.1.
fn complete_ipv4(packet: &mut [u8]) -> Option<()> {
    let fixed: [u8; IPV4_HEADER_MIN] = *packet.first_chunk()?;
    let header = usize::from(fixed[0] & 0xf) * 4;
    let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let is_fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0;
    if header < IPV4_HEADER_MIN || is_fragment {
        return None;
    }
    finish(packet.get_mut(header..length)?, &fixed[12..20], fixed[9])
}

/// RFC 8200 §3. Packets with extension headers are not looked into.
fn complete_ipv6(packet: &mut [u8]) -> Option<()> {
    let fixed: [u8; IPV6_HEADER] = *packet.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    finish(packet.get_mut(IPV6_HEADER..IPV6_HEADER + length)?, &fixed[8..40], fixed[6])
}

/// Writes the sum of the pseudo header into the field (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1), then that of everything.
fn finish(segment: &mut [u8], addresses: &[u8], protocol: u8) -> Option<()> {
    let offset = match protocol {
        TCP => 16,
        UDP => 6,
        _ => return None,
    };
    let words = addresses.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    // At most eighteen words of 16 bits, and a length of 16: no overflow, and two folds.
    let mut sum = words.sum::<u32>() + u32::from(protocol) + segment.len() as u32;
    for _ in 0..2 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    segment.get_mut(offset..offset + 2)?.copy_from_slice(&(sum as u16).to_be_bytes());
    checksum::complete(segment, 0, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Destination, source and type.
    fn frame(kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
        [&[2; 12], kind.as_slice(), packet].concat()
    }

    /// From 10.0.0.1:1 to 10.0.0.2:2: "abc", then what Ethernet has padded.
    fn udp4(checksum: [u8; 2]) -> Vec<u8> {
        let header = [0x45, 0, 0, 31, 0, 0, 0, 0, 64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        frame(TYPE_IPV4, &[&header[..], &[0, 1, 0, 2, 0, 11], &checksum[..], b"abc", &[7; 15]].concat())
    }

    #[track_caller]
    fn check(mut given: Vec<u8>, expect: Option<&[u8]>) {
        let before = given.clone();
        let done = complete(&mut given);
        assert_eq!(done.map(|()| given.as_slice()), expect);
        if done.is_none() {
            assert_eq!(given, before, "stays as it is");
        }
    }

    #[test]
    fn whatever_the_field_holds_the_sum_is_right_and_padding_does_not_count() {
        // 0a00+0001+0a00+0002+0011+000b + 0001+0002+000b+6162+6300 = d88f
        let complete = udp4([0x27, 0x70]);
        for held in [[0, 0], [0x14, 0x1f], [0xff, 0xff]] {
            check(udp4(held), Some(&complete));
        }
    }

    #[test]
    fn tcp_over_ipv6_is_found_behind_its_header() {
        let header = [&[0x60, 0, 0, 0, 0, 20, TCP, 64][..], &[0; 15], &[1], &[0; 15], &[1]].concat();
        let tcp = |checksum: [u8; 2]| {
            frame(TYPE_IPV6, &[&header[..], &[0; 12], &[0x50, 0, 0, 0], &checksum, &[0; 2]].concat())
        };
        // 1+1+6+20 + 5000 = 501c
        check(tcp([9, 9]), Some(&tcp([0xaf, 0xe3])));
    }

    #[test]
    fn what_leaves_doubt_stays_as_it_is() {
        let with = |place: usize, value: u8| {
            let mut bytes = udp4([9, 9]);
            bytes[ETHERNET_HEADER + place] = value;
            bytes
        };
        check(vec![], None);
        check(frame([8, 6], &[0; 46]), None);
        check(frame(TYPE_IPV4, &[0x45; 19]), None);
        check(with(0, 0x44), None); // a header too short
        check(with(0, 0x4f), None); // one that the packet is too short for
        check(with(3, 27), None); // no room for UDP's field
        check(with(3, 60), None); // longer than the frame
        check(with(6, 0x20), None); // a fragment, and a later one
        check(with(7, 1), None);
        check(with(9, 1), None); // ICMP
        check(frame(TYPE_IPV6, &[0; 39]), None);
    }
}
