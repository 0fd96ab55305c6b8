//! Subject information: what the policy has given to this subject.
//!
//! Magic (8 bytes), rate of the processor's counter in kHz (4), name (65), padding (1), count (2), then resources of 128 bytes:
//! kind (4), name (65), padding (3), and by kind 56 bytes, of which a memory region has kind, content, flags (1 each),
//! pattern (2), padding (3), address (8), size (8), hash (32). A name is a length, 63 bytes and a zero.

use crate::limits::{NAME_BYTES_MAX, RESOURCES_MAX};

/// The first eight bytes, with version 5 of the layout in them.
pub const MAGIC: u64 = 0x0500_6f66_6e69_756d;

const HEADER: usize = 80;
const RESOURCE: usize = 128;

/// A resource of this kind is a memory region.
const MEMORY: u32 = 1;

/// A region of this kind is a channel.
const CHANNEL: u8 = 5;

/// The region may be written.
const WRITABLE: u8 = 1;

/// Why subject information was refused. All are the system integrator's to mend: the image and the policy do not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinfoError {
    /// The page does not begin with [`MAGIC`]: this is no Muen, or one of another version.
    Magic(u64),
    /// More resources than fit, or fewer bytes than the count says.
    Count(usize),
}

/// A memory region that the policy has mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where, as this subject sees it.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Whether this subject may write it.
    pub writable: bool,
    /// Whether it is a channel.
    pub channel: bool,
}

/// The subject information, checked as far as its count.
#[derive(Clone, Copy)]
pub struct Sinfo<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Sinfo<'a> {
    /// Looks at the pages. The kernel maps them read-only and never changes them, so that they need no copy.
    pub fn new(bytes: &'a [u8]) -> Result<Self, SinfoError> {
        let magic = number(bytes, 0, 8);
        if magic != MAGIC {
            return Err(SinfoError::Magic(magic));
        }
        let count = number(bytes, 78, 2) as usize;
        if count > RESOURCES_MAX || HEADER + count * RESOURCE > bytes.len() {
            return Err(SinfoError::Count(count));
        }
        Ok(Self { bytes, count })
    }

    /// The subject's name.
    pub fn name(&self) -> &'a [u8] {
        name(&self.bytes[12..])
    }

    /// Rate of the processor's counter, kHz.
    pub fn tsc_khz(&self) -> u32 {
        number(self.bytes, 8, 4) as u32
    }

    /// The memory region called `wanted`.
    pub fn region(&self, wanted: &str) -> Option<Region> {
        let resources = self.bytes[HEADER..].chunks_exact(RESOURCE).take(self.count);
        let resource = resources
            .filter(|resource| number(resource, 0, 4) as u32 == MEMORY)
            .find(|resource| name(&resource[4..]) == wanted.as_bytes())?;
        let memory = &resource[72..];
        Some(Region {
            address: number(memory, 8, 8),
            size: number(memory, 16, 8),
            writable: memory[2] & WRITABLE != 0,
            channel: memory[0] == CHANNEL,
        })
    }
}

/// The name that begins with its length; one that is longer than a name can be is cut.
fn name(bytes: &[u8]) -> &[u8] {
    let length = bytes.first().map_or(0, |length| usize::from(*length).min(NAME_BYTES_MAX));
    bytes.get(1..=length).unwrap_or(&[])
}

/// `length` bytes from `at` on, little-endian; what is not there is zero.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(bytes.iter().skip(at).take(length)) {
        *place = *byte;
    }
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expect: Result<usize, SinfoError>) {
        assert_eq!(Sinfo::new(bytes).map(|sinfo| sinfo.count), expect);
    }

    #[test]
    fn only_whole_subject_information_is_taken() {
        let mut bytes = [0; HEADER + 2 * RESOURCE];
        check(&bytes, Err(SinfoError::Magic(0)));
        check(&[], Err(SinfoError::Magic(0)));
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        check(&bytes, Ok(0));
        check(&bytes[..40], Err(SinfoError::Count(0)));
        for (count, expect) in
            [(2_u16, Ok(2)), (3, Err(SinfoError::Count(3))), (256, Err(SinfoError::Count(256)))]
        {
            bytes[78..80].copy_from_slice(&count.to_le_bytes());
            check(&bytes, expect);
        }
    }

    #[test]
    fn a_name_longer_than_names_are_is_cut() {
        let mut bytes = [b'x'; 65];
        for (length, expect) in [(0, 0), (5, 5), (63, 63), (255, 63)] {
            bytes[0] = length;
            assert_eq!(name(&bytes).len(), expect);
        }
        assert_eq!(name(&[9, b'x']), b"", "cut off by the end of the page");
    }
}
