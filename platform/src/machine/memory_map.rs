//! Which memory is the image's own, from whatever map of it the loader left.
//!
//! An image uses one range: what follows it, and in a machine what a PC has in front of it; or where firmware has cut that short (UEFI keeps tables at 8 MiB), the longest
//! elsewhere, up to 4 GiB. The map comes from the host and is taken as hostile only in the
//! sense that no value in it makes the image read or write elsewhere than the map says; a host that lies about its memory
//! harms itself.

use std::ops::Range;

/// End of the memory that is used: what lies above is left alone, devices and page tables reach it with 64 bits only.
const MEMORY_END_MAX: u64 = 4 << 30;

/// First address of memory that is not the image's neighbour: what lies below is mapped as the image wants it.
/// No image ends above (link.ld).
const ELSEWHERE_MIN: u64 = 8 << 20;

/// Where a PC has memory in front of an image that is mapped: but for the first page, since a null pointer must fault.
const LOW: Range<u64> = 0x1000..0xa_0000;

const PAGE: u64 = 4096;

/// Type of usable memory in an E820 map, as PVH and multiboot both have it.
const RAM: u32 = 1;

/// One entry of a map.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// First address.
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// 1 is memory, everything else is not for us.
    pub kind: u32,
}

impl Entry {
    fn end(&self) -> u64 {
        self.address.saturating_add(self.length)
    }
}

/// The longest piece of memory that is free for `image`: behind it, or elsewhere above 8 MiB. `None` if the map has no memory
/// where the image is.
pub fn around(image: &Range<u64>, entries: impl Iterator<Item = Entry> + Clone) -> Option<Range<u64>> {
    let holds = |entry: &Entry| entry.kind == RAM && entry.address <= image.start && entry.end() >= image.end;
    let own = entries.clone().find(holds)?;
    let behind = free(image.end..own.end(), entries.clone());
    let elsewhere = entries
        .clone()
        .filter(|entry| entry.kind == RAM && (image.end..MEMORY_END_MAX).contains(&entry.address))
        .map(|entry| free(entry.address.max(ELSEWHERE_MIN)..entry.end(), entries.clone()));
    let length = |range: &Range<u64>| range.end.saturating_sub(range.start);
    // Of two that are equally long the later one wins: the image's own neighbour comes last.
    elsewhere.chain([behind]).max_by_key(length).filter(|range| length(range) > 0)
}

/// The longest piece of memory that is free in front of every image, below a PC's graphics memory: 635 KiB as a rule, which is
/// much where a whole machine has 4 MiB. Empty if there is none.
pub fn low(entries: impl Iterator<Item = Entry> + Clone) -> Range<u64> {
    let pieces = entries
        .clone()
        .filter(|entry| entry.kind == RAM && entry.address < LOW.end)
        .map(|entry| free(entry.address.max(LOW.start)..entry.end().min(LOW.end), entries.clone()));
    let length = |range: &Range<u64>| range.end.saturating_sub(range.start);
    pieces.filter(|piece| length(piece) > 0).max_by_key(length).unwrap_or(0..0)
}

/// The part of `range` in front of everything in there that is not memory, in whole pages.
fn free(range: Range<u64>, entries: impl Iterator<Item = Entry>) -> Range<u64> {
    let start = range.start.next_multiple_of(PAGE);
    let mut end = range.end.min(MEMORY_END_MAX);
    for entry in entries.filter(|entry| entry.kind != RAM && entry.length > 0) {
        if entry.end() > start && entry.address < end {
            end = entry.address.max(start);
        }
    }
    start..end / PAGE * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Range<u64> = 0x10_0000..0x20_0000;

    #[track_caller]
    fn check(entries: &[(u64, u64, u32)], expect: Option<u64>) {
        let entries = entries.iter().map(|&(address, length, kind)| Entry { address, length, kind });
        assert_eq!(around(&IMAGE, entries).map(|memory| memory.end), expect);
    }

    #[test]
    fn longer_memory_elsewhere_is_taken_where_firmware_cuts_the_images_short() {
        let firmware = [(0x10_0000, 0x70_0000, 1), (0x80_0000, 0x8000, 4), (0x81_0000, 0x100_0000, 1)];
        check(&firmware, Some(0x181_0000));
        check(&[(0x81_0000, 0x1000, 1), (0x10_0000, 0x70_0000, 1)], Some(0x80_0000));
        check(
            &[(0x10_0000, 0x20_0000, 1), (0x30_0000, 0x10_0000, 1), (0x60_0000, 0x100, 1)],
            Some(0x30_0000),
        );
        check(&[(0x10_0000, 0x20_0000, 1), (5 << 30, 1 << 30, 1)], Some(0x30_0000));
    }

    #[test]
    fn the_entry_that_holds_the_image_is_used_to_its_end() {
        check(&[(0, 0x9_fc00, 1), (0x10_0000, 0xf0_0000, 1)], Some(0x100_0000));
        check(&[(0, 0x100_0000, 1)], Some(0x100_0000));
    }

    #[test]
    fn an_image_outside_of_memory_is_refused() {
        check(&[], None);
        check(&[(0x10_0000, 0x8_0000, 1)], None);
        check(&[(0x10_0000, 0xf0_0000, 2)], None);
        check(&[(0x10_0000, 0x10_0000, 1)], None);
    }

    #[test]
    fn reserved_entries_inside_cut_it() {
        check(&[(0x10_0000, 0xf0_0000, 1), (0x80_0000, 0x1000, 2)], Some(0x80_0000));
        check(&[(0x80_0000, 0x1000, 4), (0x10_0000, 0xf0_0000, 1), (0x50_0000, 1, 2)], Some(0x50_0000));
        check(&[(0x10_0000, 0xf0_0000, 1), (0x18_0000, 0x10_0000, 2)], None);
    }

    #[track_caller]
    fn check_low(entries: &[(u64, u64, u32)], expect: Range<u64>) {
        let entries = entries.iter().map(|&(address, length, kind)| Entry { address, length, kind });
        assert_eq!(low(entries), expect);
    }

    #[test]
    fn memory_in_front_of_the_image_is_whole_pages_of_what_the_map_has() {
        check_low(&[(0, 0x9_fc00, 1), (0x9_fc00, 0x400, 2), (0x10_0000, 0xf0_0000, 1)], 0x1000..0x9_f000);
        check_low(&[(0, 0x100_0000, 1)], 0x1000..0xa_0000);
        check_low(&[(0, 0x9_fc00, 1), (0x8_0000, 0x1000, 2)], 0x1000..0x8_0000);
        check_low(&[(0, 0x2000, 1), (0x5800, 0x8_0000, 1)], 0x6000..0x8_5000);
    }

    #[test]
    fn there_may_be_none() {
        check_low(&[], 0..0);
        check_low(&[(0x10_0000, 0xf0_0000, 1)], 0..0);
        check_low(&[(0, 0x1fff, 1)], 0..0);
        check_low(&[(0, 0x9_fc00, 2)], 0..0);
        check_low(&[(0, 0x9_fc00, 1), (0, u64::MAX, 2)], 0..0);
        check_low(&[(u64::MAX, u64::MAX, 1), (0xb_0000, 0x1000, 1)], 0..0);
    }

    #[test]
    fn nonsense_is_bounded() {
        check(&[(0x10_0000, u64::MAX, 1)], Some(4 << 30));
        check(
            &[(u64::MAX, u64::MAX, 1), (0x10_0000, 0xf0_0000, 1), (u64::MAX, u64::MAX, 2)],
            Some(0x100_0000),
        );
        check(&[(0x10_0000, 0xf0_0fff, 1)], Some(0x100_0000));
    }
}
