//! The memory map as the image gets it: ranges in order, neighbours of one kind merged.

use core::ops::Range as Addresses;

/// Memory that is free for use. Source: ACPI 6.5, table 15.1.
pub const RAM: u32 = 1;
/// Memory to keep out of.
pub const RESERVED: u32 = 2;
/// ACPI's tables.
pub const ACPI: u32 = 3;
/// Memory that the firmware keeps in use.
pub const NVS: u32 = 4;
/// Memory that is broken.
pub const UNUSABLE: u32 = 5;

/// A piece of memory. Layout of `hvm_memmap_table_entry` in Xen `include/public/arch-x86/hvm/start_info.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub address: u64,
    /// How much.
    pub bytes: u64,
    /// One of the kinds above.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}

/// Ranges in order of their addresses, in room that somebody else provides.
#[derive(Debug)]
pub struct Map<'a> {
    room: &'a mut [Range],
    ranges: usize,
}

impl<'a> Map<'a> {
    /// An empty map of at most as many ranges as there is room for.
    pub fn new(room: &'a mut [Range]) -> Self {
        Self { room, ranges: 0 }
    }

    /// Takes every range out.
    pub fn clear(&mut self) {
        self.ranges = 0;
    }

    /// The ranges.
    pub fn ranges(&self) -> &[Range] {
        self.room.get(..self.ranges).unwrap_or_default()
    }

    /// Adds a range that overlaps no other. One for which there is no room is left out, which only makes memory smaller.
    pub fn add(&mut self, address: u64, bytes: u64, kind: u32) {
        if bytes == 0 {
            return;
        }
        let place = self.ranges().partition_point(|range| range.address < address);
        let fits = |range: &Range, next: u64| range.kind == kind && range.address + range.bytes == next;
        let joins_next = self
            .ranges()
            .get(place)
            .is_some_and(|next| next.kind == kind && address.checked_add(bytes) == Some(next.address));
        if let Some(previous) = place.checked_sub(1).and_then(|index| self.room.get_mut(index))
            && fits(previous, address)
        {
            previous.bytes += bytes;
            if joins_next {
                let next = self.room[place].bytes;
                self.room[place - 1].bytes += next;
                self.room.copy_within(place + 1..self.ranges, place);
                self.ranges -= 1;
            }
        } else if joins_next {
            let next = &mut self.room[place];
            next.address = address;
            next.bytes += bytes;
        } else if self.ranges < self.room.len() {
            self.room.copy_within(place..self.ranges, place + 1);
            self.room[place] = Range { address, bytes, kind, reserved: 0 };
            self.ranges += 1;
        }
    }

    /// Whether these addresses lie in one piece of RAM.
    pub fn is_ram(&self, addresses: &Addresses<u64>) -> bool {
        self.ranges().iter().any(|range| {
            range.kind == RAM
                && range.address <= addresses.start
                && addresses.end - range.address.min(addresses.end) <= range.bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(added: &[(u64, u64, u32)], expect: &[(u64, u64, u32)]) {
        let mut room = [Range::default(); 4];
        let mut map = Map::new(&mut room);
        for &(address, bytes, kind) in added {
            map.add(address, bytes, kind);
        }
        let found = map.ranges().iter().map(|range| (range.address, range.bytes, range.kind));
        assert!(found.eq(expect.iter().copied()), "{:?}", map.ranges());
    }

    #[test]
    fn ranges_are_put_in_order_and_merged() {
        check(&[], &[]);
        check(&[(0, 0, RAM)], &[]);
        check(&[(8, 4, RAM), (0, 4, RAM)], &[(0, 4, RAM), (8, 4, RAM)]);
        check(&[(0, 4, RAM), (4, 4, RAM)], &[(0, 8, RAM)]);
        check(&[(4, 4, RAM), (0, 4, RAM)], &[(0, 8, RAM)]);
        check(&[(0, 4, RAM), (8, 4, RAM), (4, 4, RAM)], &[(0, 12, RAM)]);
        check(&[(0, 4, RAM), (8, 4, RAM), (4, 4, ACPI)], &[(0, 4, RAM), (4, 4, ACPI), (8, 4, RAM)]);
        check(
            &[(0, 1, RAM), (8, 1, RAM), (2, 1, RAM), (6, 1, RAM), (1, 1, RAM)],
            &[(0, 3, RAM), (6, 1, RAM), (8, 1, RAM)],
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let four = [(0, 1, RAM), (2, 1, RAM), (4, 1, RAM), (6, 1, RAM)];
        check(&[&four[..], &[(8, 1, RAM)]].concat(), &four);
    }

    #[test]
    fn an_image_fits_into_one_piece_of_ram() {
        let mut room = [Range::default(); 4];
        let mut map = Map::new(&mut room);
        map.add(0x1000, 0x1000, RAM);
        map.add(0x2000, 0x1000, RESERVED);
        map.add(0x3000, u64::MAX - 0x3000, RAM);
        for (addresses, expect) in [
            (0x1000..0x2000, true),
            (0x1000..0x2001, false),
            (0xfff..0x1010, false),
            (0x2000..0x2001, false),
            (0x5000..0x5000_0000, true),
        ] {
            assert_eq!(map.is_ram(&addresses), expect, "{addresses:x?}");
        }
    }
}
