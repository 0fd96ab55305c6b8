//! Completes a checksum that a sender on this very host has left to the receiver.

/// Sums `frame` from `start` to its end and writes the checksum at `start + offset`, where the sum of the pseudo header lies
/// (VIRTIO 1.2 §5.1.6.4.1). `None` if that is not inside the frame.
pub fn complete(frame: &mut [u8], start: usize, offset: usize) -> Option<()> {
    let covered = frame.get_mut(start..)?;
    let end = offset.checked_add(2)?;
    covered.get(offset..end)?;
    let sum = !sum(covered);
    // To UDP zero means that there is none (RFC 768); to TCP both are the same number.
    let sum = if sum == 0 { u16::MAX } else { sum };
    covered[offset..end].copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// The sum of RFC 1071, eight bytes at a time.
fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut total: u64 = 0;
    for word in words {
        let word = u64::from_be_bytes(*word);
        total += (word >> 32) + (word & 0xffff_ffff);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let word = u64::from_be_bytes(last);
    total += (word >> 32) + (word & 0xffff_ffff);
    // At most 8 Ki words of 33 bits: no overflow. Four folds leave 16 bits.
    for _ in 0..4 {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &[u8], start: usize, offset: usize, expect: Option<&[u8]>) {
        let mut bytes = frame.to_vec();
        let done = complete(&mut bytes, start, offset);
        assert_eq!(done.map(|()| bytes.as_slice()), expect);
        if done.is_none() {
            assert_eq!(bytes, frame);
        }
    }

    #[test]
    fn the_sum_covers_everything_from_the_start() {
        check(&[9, 9, 0, 1, 0, 2, 0, 0], 2, 4, Some(&[9, 9, 0, 1, 0, 2, 0xff, 0xfc]));
        // What the field holds counts; an odd byte is the higher half of a word.
        check(&[0, 1, 1, 0], 0, 0, Some(&[0xfe, 0xfe, 1, 0]));
        check(&[0, 0, 1], 0, 0, Some(&[0xfe, 0xff, 1]));
        check(&[0xff, 0xff, 0, 0], 0, 2, Some(&[0xff, 0xff, 0xff, 0xff]));
    }

    #[test]
    fn carries_go_round() {
        let mut frame = [0xff; 65_536];
        frame[..2].fill(0);
        complete(&mut frame, 0, 0).expect("it is inside");
        assert_eq!(frame[..2], [0xff, 0xff]);
    }

    #[test]
    fn outside_of_the_frame_nothing_is_written() {
        check(&[1, 2, 3, 4], 5, 0, None);
        check(&[1, 2, 3, 4], 0, 3, None);
        check(&[1, 2, 3, 4], 4, 0, None);
        check(&[1, 2, 3, 4], usize::MAX, 0, None);
        check(&[1, 2, 3, 4], 0, usize::MAX, None);
    }
}
